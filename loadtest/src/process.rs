//! What the kernel knows about processes: processor time, resident memory, open-file limits, and
//! on which core they run.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};

/// Processor time of a process so far, user and system, threads that ended included: to the
/// nanosecond, since `/proc` tells it in ticks of 10 ms, too coarse for a hundred resumes.
///
/// # Errors
/// When there is no such process.
#[expect(unsafe_code, reason = "the standard library has no processor clocks")]
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let number = libc::pid_t::try_from(pid).context("a strange process number")?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the pointer is to a clockid_t that outlives the call.
    let found = unsafe { libc::clock_getcpuclockid(number, &raw mut clock) };
    if found != 0 {
        bail!("no process {pid}: {}", std::io::Error::from_raw_os_error(found));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that outlives the call.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        bail!("no processor time of {pid}: {}", std::io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

/// Resident memory of a process in bytes: (all, anonymous).
///
/// # Errors
/// When there is no such process.
pub fn resident(pid: u32) -> anyhow::Result<(u64, u64)> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("no process {pid}"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib * 1024).with_context(|| format!("{path} has no {name}"))
    };
    Ok((field("VmRSS:")?, field("RssAnon:")?))
}

/// Stops with a sentence if this process may not open so many sockets.
///
/// # Errors
/// When it may not.
pub fn need_files(sockets: usize) -> anyhow::Result<()> {
    let limit = files()?;
    let need = sockets + 100;
    if need > limit {
        bail!(
            "{sockets} sockets need {need} open files, RLIMIT_NOFILE allows {limit}: ask for fewer"
        );
    }
    Ok(())
}

/// How many files this process may have open.
///
/// # Errors
/// When the kernel doesn't tell.
pub fn files() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/limits")?;
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let soft =
        line.and_then(|line| line.split_whitespace().nth(3)).context("no open file limit")?;
    Ok(soft.parse().unwrap_or(usize::MAX)) // "unlimited"
}

/// Puts every thread of a process on one core.
///
/// # Errors
/// When the kernel refuses.
pub fn pin(pid: u32, core: usize) -> anyhow::Result<()> {
    let tasks = format!("/proc/{pid}/task");
    for task in std::fs::read_dir(Path::new(&tasks)).with_context(|| format!("no process {pid}"))? {
        let name = task?.file_name();
        let thread: i32 = name.to_string_lossy().parse().context("a strange thread")?;
        pin_thread(thread, core).with_context(|| format!("pinning {pid} to core {core}"))?;
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the standard library has no processor affinity")]
fn pin_thread(thread: i32, core: usize) -> std::io::Result<()> {
    // SAFETY: a cpu_set_t is an array of integers, for which all zeros is a value; CPU_SET checks
    // its index; the kernel reads the set within the call and keeps no pointer.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_is_known() {
        let pid = std::process::id();
        let (all, anonymous) = super::resident(pid).expect("memory");
        assert!(all >= anonymous && anonymous > 0);
        let before = super::cpu(pid).expect("processor time");
        while super::cpu(pid).expect("processor time") == before {} // looking costs time, too
        assert!(super::cpu(u32::MAX).is_err());
        assert!(super::need_files(1).is_ok() && super::need_files(usize::MAX / 2).is_err());
    }
}

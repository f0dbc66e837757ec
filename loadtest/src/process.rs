//! What the kernel knows about processes: processor time, resident memory, open-file limits, and
//! on which core they run.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Processor time of a process so far, user and system, threads that ended too.
///
/// # Errors
/// When there is no such process.
#[expect(unsafe_code, reason = "the standard library has no clocks of processes")]
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let number = libc::pid_t::try_from(pid).context("a strange process number")?;
    // SAFETY: both calls write into the variables they are given and keep no pointer; a clockid_t
    // and a timespec are integers, for which zero is a value.
    let (found, time) = unsafe {
        let (mut clock, mut time): (libc::clockid_t, libc::timespec) = std::mem::zeroed();
        let found = libc::clock_getcpuclockid(number, &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0;
        (found, time)
    };
    if !found {
        bail!("no process {pid}");
    }
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

/// Processor time of several processes.
///
/// # Errors
/// When one of them is not there.
pub fn cpu_of(pids: &[u32]) -> anyhow::Result<Duration> {
    pids.iter().map(|&pid| cpu(pid)).sum()
}

/// Resident memory of several processes in bytes, what they share counted for each.
///
/// # Errors
/// When one of them is not there.
pub fn resident_of(pids: &[u32]) -> anyhow::Result<u64> {
    pids.iter().map(|&pid| Ok(resident(pid)?.0)).sum()
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

/// Lets this process open as many files as it may: the soft limit is raised to the hard one.
pub fn raise_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // The soft limit may always be raised this far; if not, `need_files` says what is missing.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
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
            "{sockets} sockets need {need} open files, and the hard limit (RLIMIT_NOFILE) is {limit}: \
             ask for fewer, or let root raise it (ulimit -Hn)"
        );
    }
    Ok(())
}

/// How many files this process may have open.
///
/// # Errors
/// When that is no number of this machine.
pub fn files() -> anyhow::Result<usize> {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    Ok(usize::try_from(soft)?)
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
        assert!((0..1_000_000_u64).fold(0, |a, b| std::hint::black_box(a ^ b)) < 1 << 20);
        assert!(super::cpu_of(&[pid]).expect("processor time") > before);
        // Numbers end at 2^22.
        assert!(super::cpu(u32::MAX).is_err() && super::cpu((1 << 22) + 1).is_err());
        super::raise_files();
        assert!(super::need_files(1).is_ok() && super::need_files(usize::MAX / 2).is_err());
    }
}

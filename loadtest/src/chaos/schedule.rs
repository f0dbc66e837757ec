//! Which fault happens when: a pure function of the plan, the seed and the duration.

use std::time::Duration;

use super::{
    chance::Chance,
    fault::{Fault, Kind, On, Role, Target},
    plan::{Choice, Plan},
};

/// All faults, by their time. None begins in the last tenth, so that most end before the end.
#[must_use]
pub fn schedule(plan: &Plan, seed: u64, lasts: Duration) -> Vec<Fault> {
    let mut chance = Chance::new(seed, "schedule");
    let end = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX) / 10 * 9;
    let mut faults = Vec::new();
    let mut at_ms = chance.within(millis(plan.pause)) / 2;
    while at_ms <= end {
        let Some(choice) = choose(plan, &mut chance) else { break };
        let on = chance.one(&choice.on).copied().unwrap_or(On::Everything);
        let target = target(plan, choice.kind, on, &mut chance);
        let for_ms = chance.within(millis(choice.lasts));
        let silent_ms = choice.silence.map(|most| millis([most; 2])[0]);
        let (number, kind) = (faults.len(), choice.kind);
        faults.push(Fault { number, kind, target, at_ms, for_ms, silent_ms });
        at_ms += chance.within(millis(plan.pause)).max(1);
    }
    faults
}

/// The delay of everything during a fault of that kind.
#[must_use]
pub fn delay(seed: u64, fault: &Fault) -> Duration {
    let mut chance = Chance::new(seed, &format!("delay {}", fault.number));
    Duration::from_millis(chance.within([20, 400]))
}

/// In which order processes are started after a blackout, and after which pause each.
#[must_use]
pub fn order(seed: u64, fault: &Fault, processes: usize) -> Vec<(usize, Duration)> {
    let mut chance = Chance::new(seed, &format!("order {}", fault.number));
    let mut order: Vec<usize> = (0..processes).collect();
    chance.shuffle(&mut order);
    let pause = |chance: &mut Chance| Duration::from_millis(chance.below(2_000));
    order.into_iter().map(|process| (process, pause(&mut chance))).collect()
}

fn choose<'a>(plan: &'a Plan, chance: &mut Chance) -> Option<&'a Choice> {
    let mut place = chance.below(plan.faults.iter().map(|choice| choice.weight).sum());
    plan.faults.iter().find(|choice| {
        let found = place < choice.weight;
        place = place.saturating_sub(choice.weight);
        found
    })
}

fn target(plan: &Plan, kind: Kind, on: On, chance: &mut Chance) -> Target {
    let Some(role) = on.role(plan.is_embedded()) else { return Target::All };
    let count = plan.count(role);
    if kind == Kind::Scale {
        return Target::Process(Role::Worker, count + 1);
    }
    if kind == Kind::Disk {
        // All of a role share it, and are held in their order.
        return Target::Process(role, 1);
    }
    let number = u32::try_from(chance.below(count.into())).unwrap_or(0) + 1;
    if on.is_link() { Target::Link(role, number) } else { Target::Process(role, number) }
}

fn millis(seconds: [f64; 2]) -> [u64; 2] {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and an hour"
    )]
    seconds.map(|seconds| (seconds * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MINUTES: Duration = Duration::from_secs(1200);

    fn plan(name: &str) -> Plan {
        Plan::load(name).expect("a plan")
    }

    #[test]
    fn the_same_seed_gives_the_same_faults_and_another_one_others() {
        let plan = plan("everything");
        assert_eq!(schedule(&plan, 7, MINUTES), schedule(&plan, 7, MINUTES));
        assert_ne!(schedule(&plan, 7, MINUTES), schedule(&plan, 8, MINUTES));
        let fault = schedule(&plan, 7, MINUTES)[0];
        assert_eq!(order(7, &fault, 6), order(7, &fault, 6));
        assert_eq!(delay(7, &fault), delay(7, &fault));
    }

    #[test]
    fn a_shorter_run_is_the_beginning_of_a_longer_one() {
        let plan = plan("storm");
        let short = schedule(&plan, 3, MINUTES / 4);
        assert!(schedule(&plan, 3, MINUTES).starts_with(&short) && short.len() > 10);
    }

    #[test]
    fn faults_keep_to_the_plan() {
        let plan = plan("everything");
        let faults = schedule(&plan, 42, MINUTES);
        let mut before = 0;
        for fault in &faults {
            let of_kind = plan.faults.iter().filter(|choice| choice.kind == fault.kind);
            let fits = |choice: &Choice| {
                let [least, most] = millis(choice.lasts);
                (least..=most).contains(&fault.for_ms)
                    && choice.on.iter().any(|on| is_on(&plan, fault, *on))
            };
            assert!(of_kind.clone().any(fits), "{fault}");
            let [least, most] = millis(plan.pause);
            assert!(fault.number == 0 || (least..=most).contains(&(fault.at_ms - before)));
            before = fault.at_ms;
        }
        assert!(before <= 1_080_000, "the last one begins early enough: {before}");
        let kinds: std::collections::BTreeSet<Kind> = faults.iter().map(|it| it.kind).collect();
        let planned: std::collections::BTreeSet<Kind> =
            plan.faults.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, planned, "each kind happens in twenty minutes");
    }

    fn is_on(plan: &Plan, fault: &Fault, on: On) -> bool {
        match (fault.target, on.role(false)) {
            (Target::All, role) => role.is_none(),
            (Target::Process(role, number), wanted) => {
                let most = plan.count(role) + u32::from(fault.kind == Kind::Scale);
                wanted == Some(role) && !on.is_link() && (1..=most).contains(&number)
            }
            (Target::Link(role, number), wanted) => {
                wanted == Some(role) && on.is_link() && (1..=plan.count(role)).contains(&number)
            }
        }
    }

    #[test]
    fn weights_are_kept() {
        let plan = Plan::parse(
            "about = \"\"\nseconds = 60\npause = [1, 1]\n\
             [[fault]]\nkind = \"kill\"\non = [\"gateway\"]\nfor = [1, 1]\nweight = 3\n\
             [[fault]]\nkind = \"stop\"\non = [\"worker\"]\nfor = [1, 1]\n",
        )
        .expect("a plan");
        let mut counts: HashMap<Kind, usize> = HashMap::new();
        for fault in schedule(&plan, 1, Duration::from_secs(10_000)) {
            *counts.entry(fault.kind).or_default() += 1;
        }
        let (kills, stops) = (counts[&Kind::Kill], counts[&Kind::Stop]);
        assert!(kills > 2 * stops && kills < 4 * stops, "{kills} and {stops}");
    }
}

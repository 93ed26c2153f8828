//! Crashes at every await point of a purchase, over the model and small fakes.
//!
//! Edges, relay and recovery are state machines whose steps end where the code awaits something; a schedule says
//! who goes on, what is lost and who dies. Afterwards everything heals, every shopper asks until he knows, and
//! the functions of `flashsale_core` judge the stores and all answers. What the fakes leave out: time (who is
//! late is said by the schedule), and that a broker may write a record later than its sender's patience.
#![allow(clippy::expect_used, reason = "a fixture that fails is a failed test")]

mod edge;
mod keepers;
mod log;
mod redis;
mod schedule;
mod shop;
mod verdict;
mod world;

use proptest::{
    prelude::*,
    test_runner::{TestError, TestRng, TestRunner},
};

use crate::{
    schedule::{Action, Fate, Schedule, schedules},
    shop::{Answer, Protocol, Shop},
    verdict::{Verdict, judge},
};

fn run(schedule: &Schedule, protocol: Protocol) -> (Shop, Verdict) {
    let shop = world::play(schedule, protocol);
    let verdict = judge(&shop, schedule.users.into());
    (shop, verdict)
}

/// The findings, then what happened.
fn report(shop: &Shop, verdict: &Verdict) -> String {
    format!("{}\n\n{}\n", verdict.broken.join("\n"), shop.trace.join("\n"))
}

proptest! {
    #[test]
    fn nf_6_i_4_a_crash_at_any_await_point_breaks_no_promise(schedule in schedules()) {
        let (shop, verdict) = run(&schedule, Protocol::WHOLE);
        prop_assert!(verdict.broken.is_empty(), "{}", report(&shop, &verdict));
    }
}

#[test]
fn stats() {
    use std::cell::RefCell;
    let counts = RefCell::new(std::collections::BTreeMap::<&str, u32>::new());
    let mut runner = TestRunner::new(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() });
    runner.run(&schedules(), |schedule| {
        let (shop, verdict) = run(&schedule, Protocol::WHOLE);
        let mut c = counts.borrow_mut();
        let mut add = |k, b: bool| *c.entry(k).or_default() += u32::from(b);
        add("vanished", !verdict.vanished.is_empty());
        add("void", !verdict.void.is_empty());
        add("void202", verdict.void.iter().any(|v| matches!(v, Answer::Pending(_))));
        add("voidAP", verdict.void.iter().any(|v| matches!(v, Answer::AlreadyPurchased(_))));
        add("lost", !shop.redis.lost.is_empty());
        add("lost_not_vanished", shop.redis.lost.iter().any(|u| !verdict.vanished.contains(u)));
        let healed = shop.trace.iter().position(|t| t.contains("all is well")).unwrap_or(0);
        let before = &shop.trace[..healed];
        add("200 before heal", before.iter().any(|t| t.contains(": 200")));
        add("verified before heal", before.iter().any(|t| t.contains("verified")));
        add("sells after verified", before.iter().position(|t| t.contains("verified")).is_some_and(|p| before[p..].iter().any(|t| t.contains("ACCEPTED"))));
        add("relay publishes", before.iter().any(|t| t.contains("relay publishes")));
        add("late", before.iter().any(|t| t.contains("too late")));
        add("stood still publishes", shop.trace.iter().any(|t| t.contains("stood still publishes")));
        add("empty", shop.trace.iter().any(|t| t.contains("knows 0")));
        add("SOLD_OUT before", before.iter().any(|t| t.contains("SOLD_OUT")));
        add("holes", !shop.log.units().missing().is_empty());
        Ok(())
    }).unwrap();
    println!("{:#?}", counts.borrow());
}

#[test]
fn outdated() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 30000, failure_persistence: None, ..ProptestConfig::default() });
    let r = runner.run(&schedules(), |schedule| {
        let (shop, verdict) = run(&schedule, Protocol::WHOLE);
        prop_assert!(verdict.outdated.is_empty(), "{}\n{}", verdict.outdated.join("\n"), report(&shop, &verdict));
        Ok(())
    });
    println!("{}", r.unwrap_err());
    for void in [0, 1] {
    let r = runner.run(&schedules(), |schedule| {
        let (shop, verdict) = run(&schedule, Protocol::WHOLE);
        prop_assert!(!verdict.void.iter().any(|v| matches!((void, v), (0, Answer::Pending(_)) | (1, Answer::AlreadyPurchased(_)))), "{}\n{}", verdict.outdated.join("\n"), report(&shop, &verdict));
        Ok(())
    });
    println!("{}", r.unwrap_err());
    }
    for off in 0..6 {
        let w = Protocol::WHOLE;
        let p = [Protocol { fence: false, ..w }, Protocol { relay: false, ..w }, Protocol { late_replies_dropped: false, ..w }, Protocol { recovery_waits: false, ..w }, Protocol { recovery_counts_changes: false, ..w }, Protocol { late_recovery_dropped: false, ..w }][off];
        let n = std::cell::Cell::new(0);
        let first = std::cell::Cell::new(0);
        let r = runner.run(&schedules(), |schedule| {
            n.set(n.get() + 1);
            let (shop, verdict) = run(&schedule, p);
            if !verdict.broken.is_empty() && first.get() == 0 { first.set(n.get()); }
            prop_assert!(verdict.broken.is_empty(), "{}", report(&shop, &verdict));
            Ok(())
        });
        println!("{p:?} after {}\n{}", first.get(), r.map_err(|e| e.to_string()).err().unwrap_or_default());
    }
}

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn plan(scenario: Scenario, dials: &Dials) -> Plan {
    Plan::of(scenario, dials).unwrap()
}

#[test]
fn each_shopper_of_a_stampede_comes_once_with_a_key_of_their_own() {
    let dials = Dials { buyers: Some(500), ..Dials::default() };
    let plan = plan(Scenario::Stampede, &dials);
    assert_eq!(plan.arrivals, Arrivals::Burst { count: 500 });
    assert_eq!((plan.units, plan.options.connections, plan.options.open_first), (1_000, 500, true));
    let requests: Vec<Request> = (0..500).map(|n| plan.request(n)).collect();
    assert!(requests.iter().all(|request| request.route == Route::Purchase && request.key != 0));
    assert_eq!(requests.iter().map(|request| request.shopper).collect::<BTreeSet<_>>().len(), 500);
    assert_eq!(requests.iter().map(|request| request.key).collect::<BTreeSet<_>>().len(), 500);
}

#[test]
fn duplicates_take_turns_between_one_key_and_new_ones() {
    let plan = plan(Scenario::Duplicates, &Dials::default());
    assert_eq!(plan.arrivals, Arrivals::Burst { count: 1_000 });
    let mut keys: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for n in 0..1_000 {
        let request = plan.request(n);
        keys.entry(request.shopper).or_default().push(request.key);
    }
    assert_eq!(keys.len(), 10);
    let mut all = BTreeSet::new();
    for keys in keys.values() {
        assert_eq!(keys.len(), 100);
        assert_eq!(keys.iter().filter(|key| **key == keys[0]).count(), 50);
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 51);
        all.extend(keys.iter().copied());
    }
    assert!(all.len() == 510 && !all.contains(&0), "no two shoppers share one, and each attempt has one");
}

#[test]
fn mixed_load_is_80_15_and_5_in_a_hundred() {
    let plan = plan(Scenario::Mixed, &Dials::default());
    let (mut counts, mut bought) = (BTreeMap::new(), BTreeSet::new());
    for n in 0..10_000 {
        let request = plan.request(n);
        *counts.entry(request.route).or_insert(0) += 1;
        match request.route {
            Route::Purchase => assert!(bought.insert(request.shopper)),
            Route::Receipt => assert!(bought.contains(&request.shopper), "{n} asks for {}", request.shopper),
            Route::Status => {}
        }
    }
    assert_eq!(counts, BTreeMap::from([(Route::Purchase, 1_500), (Route::Status, 8_000), (Route::Receipt, 500)]));
}

#[test]
fn a_long_run_spreads_shoppers_over_its_sales_and_sells_them() {
    let plan = plan(Scenario::Soak, &Dials::default());
    // 200 a second for an hour, 15 % of them purchases, over four sales.
    assert_eq!((plan.skus, plan.units), (4, 24_300));
    assert!(!plan.options.keep_attempts);
    let skus: BTreeSet<u32> = (0..1_000).map(|n| plan.request(n).sku).collect();
    assert_eq!(skus, BTreeSet::from([0, 1, 2, 3]));
    for n in 0..1_000 {
        let request = plan.request(n);
        assert!(request.route != Route::Purchase || request.sku == sku_of(request.shopper, 4));
    }
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    let refused = |dials: Dials| Plan::of(Scenario::Mixed, &dials).unwrap_err().to_string();
    for (dials, named) in [
        (Dials { rate: Some(0.0), ..Dials::default() }, "--rate"),
        (Dials { rate: Some(f64::NAN), ..Dials::default() }, "--rate"),
        (Dials { seconds: Some(-1.0), ..Dials::default() }, "--seconds"),
        (Dials { buyers: Some(0), ..Dials::default() }, "--buyers"),
        (Dials { buyers: Some(1_000_001), ..Dials::default() }, "--buyers"),
        (Dials { listeners: Some(100_001), ..Dials::default() }, "--listeners"),
        (Dials { units: Some(0), ..Dials::default() }, "--units"),
        (Dials { connections: Some(0), ..Dials::default() }, "--connections"),
        (Dials { threads: Some(0), ..Dials::default() }, "--threads"),
        (Dials { pipeline: Some(0), ..Dials::default() }, "--pipeline"),
        (Dials { sales: Some(0), ..Dials::default() }, "--sales"),
        (Dials { answer_max: Some(0.0), ..Dials::default() }, "--answer-max"),
        (Dials { ramp_from: Some(5.0), ..Dials::default() }, "--ramp-from"),
    ] {
        let why = refused(dials);
        assert!(why.contains(named), "{named}: {why}");
    }
}

#[test]
fn no_more_come_at_once_than_can_wait() {
    let of = |scenario, buyers| Plan::of(scenario, &Dials { buyers: Some(buyers), ..Dials::default() });
    assert_eq!(of(Scenario::Stampede, 1_000_000).unwrap().arrivals, Arrivals::Burst { count: 1_000_000 });
    assert_eq!(of(Scenario::Duplicates, 10_000).unwrap().arrivals, Arrivals::Burst { count: 1_000_000 });
    let refused = of(Scenario::Duplicates, 10_001).unwrap_err().to_string();
    assert!(refused.contains("--buyers must be 1 to 10000 here"), "{refused}");
}

#[test]
fn the_shape_can_be_another() {
    let shaped = |arrivals, ramp_from| {
        let dials = Dials { arrivals: Some(arrivals), ramp_from, rate: Some(50.0), ..Dials::default() };
        plan(Scenario::Soldout, &dials).arrivals
    };
    assert_eq!(shaped(Shape::Ramp, Some(10.0)), Arrivals::Ramp { from: 10.0, to: 50.0 });
    assert_eq!(shaped(Shape::Ramp, None), Arrivals::Ramp { from: 0.0, to: 50.0 });
    assert_eq!(shaped(Shape::Poisson, None), Arrivals::Poisson { rate: 50.0 });
    assert_eq!(shaped(Shape::Closed, None), Arrivals::Closed);
    assert_eq!(shaped(Shape::Burst, None), Arrivals::Burst { count: 1_000 });
}

#[test]
fn a_plan_says_what_it_does() {
    let said = plan(Scenario::Stampede, &Dials::default()).describe();
    assert!(said.contains("10000 requests at once") && said.contains("1000 units"), "{said}");
    let said = plan(Scenario::Mixed, &Dials::default()).describe();
    assert!(said.contains("2000 requests a second for 30 s") && said.contains("100 pages listen"), "{said}");
}

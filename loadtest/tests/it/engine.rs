//! The engine, against servers that say what a test wants them to say.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use flashsale_loadtest::{
    arrivals::Arrivals,
    engine::{Live, Options, Request, Target, When, run, run_into},
    recorder::{Attempt, Lookup, Outcome, Recording, Route},
};

use crate::server::{NOBODY, answer, server};

const HALF_A_SECOND: Duration = Duration::from_millis(500);

fn shopper(request: &str) -> u64 {
    request.lines().find_map(|line| line.strip_prefix("x-user-id: t-")).unwrap().parse().unwrap()
}

fn receipt(shopper: u64) -> String {
    format!(r#"{{"success":true,"data":{{"purchaseNo":"PUR-{shopper}","purchasedAt":"2026-11-23T12:00:00.123Z"}}}}"#)
}

/// A unit for whoever asks, with a receipt that names the shopper.
fn success(request: &str) -> String {
    answer("200 OK", "", &receipt(shopper(request)))
}

fn options(connections: usize) -> Options {
    Options {
        connections,
        open_first: false,
        threads: 1,
        keep_alive: true,
        pipeline: 1,
        answer_max: Duration::from_secs(10),
        keep_attempts: true,
    }
}

fn target(server: SocketAddr) -> Target {
    Target {
        servers: vec![server],
        host: server.to_string(),
        skus: vec!["A".to_owned()],
        prefix: "t".to_owned(),
        headers: vec![("x-test".to_owned(), "yes".to_owned())],
    }
}

fn purchase(number: u64) -> Request {
    Request { route: Route::Purchase, shopper: number, key: number + 1, sku: 0 }
}

fn send(server: SocketAddr, options: &Options, arrivals: Arrivals, lasts: Duration) -> Recording {
    run(&target(server), options, arrivals, lasts, 1, &purchase, &Live::default()).unwrap()
}

fn counts(recording: &Recording) -> BTreeMap<Outcome, u64> {
    recording.tally(Route::Purchase).map(|tally| tally.counts.clone()).unwrap_or_default()
}

/// Whether all came to the same, and so many.
fn all(recording: &Recording, outcome: Outcome, count: u64) {
    assert_eq!(counts(recording), BTreeMap::from([(outcome, count)]), "{:?}", recording.failures);
}

#[test]
fn every_request_is_sent_once_when_it_is_due_and_its_answer_noted() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    let server = server(move |mut peer| {
        peer.answer(|request| {
            seen.lock().unwrap().push(request.to_owned());
            success(request)
        });
    });
    let (options, live) = (Options { threads: 2, ..options(4) }, Live::default());
    let arrivals = Arrivals::Constant { rate: 200.0 };
    let recording = run(&target(server), &options, arrivals, HALF_A_SECOND, 1, &purchase, &live).unwrap();
    all(&recording, Outcome::Purchased, 100);
    let shoppers: BTreeSet<u64> = recording.attempts.iter().map(|attempt| attempt.shopper).collect();
    assert_eq!(shoppers, (0..100).collect());
    for attempt in &recording.attempts {
        assert_eq!((attempt.due_us, attempt.key), (attempt.shopper * 5_000, attempt.shopper + 1));
        assert!(attempt.due_us <= attempt.sent_us && attempt.sent_us <= attempt.answered_us, "{attempt:?}");
        assert_eq!(&*attempt.receipt.as_ref().unwrap().number, format!("PUR-{}", attempt.shopper));
    }
    let requests = requests.lock().unwrap();
    let asked: BTreeSet<u64> = requests.iter().map(|request| shopper(request)).collect();
    assert_eq!((asked.len(), requests.len()), (100, 100));
    let first = requests.iter().find(|request| shopper(request) == 0).unwrap();
    assert!(first.contains("\r\nidempotency-key: t-k1\r\n") && first.contains("\r\nx-test: yes\r\n"), "{first}");
    assert!(first.ends_with("\r\n\r\n{\"sku\":\"A\"}"), "{first}");
    assert!((1..=4).contains(&recording.connected) && recording.unsent == 0, "{}", recording.connected);
    assert!(recording.took >= Duration::from_millis(495), "{:?}", recording.took);
    let told = [&live.sent, &live.answered, &live.purchased, &live.refused, &live.broken];
    assert_eq!(told.map(|counter| counter.load(Ordering::Relaxed)), [100, 100, 100, 0, 0]);
}

/// A purchase by an even number, and by the odd one behind it a look at what that one bought.
fn bought_and_looked_up(number: u64) -> Request {
    let route = if number.is_multiple_of(2) { Route::Purchase } else { Route::Receipt };
    Request { route, shopper: number / 2, key: 0, sku: 0 }
}

#[test]
fn what_is_shown_to_who_looks_up_a_receipt_is_kept() {
    let server = server(|mut peer| {
        peer.answer(|request| match shopper(request) % 5 {
            0 if request.starts_with("GET ") => answer("404 Not Found", "", r#"{"success":false}"#),
            _ => success(request),
        });
    });
    let arrivals = Arrivals::Burst { count: 20 };
    let (target, live) = (target(server), Live::default());
    let recording = run(&target, &options(2), arrivals, HALF_A_SECOND, 1, &bought_and_looked_up, &live).unwrap();
    assert_eq!((recording.attempts.len(), recording.lookups.len()), (10, 10), "{:?}", recording.failures);
    for lookup in &recording.lookups {
        assert!(lookup.sent_us <= lookup.answered_us, "{lookup:?}");
        let shown = lookup.receipt.as_ref().map(|receipt| receipt.number.to_string());
        let (outcome, wanted) = match lookup.shopper % 5 {
            0 => (Outcome::NotFound, None),
            _ => (Outcome::Found, Some(format!("PUR-{}", lookup.shopper))),
        };
        assert_eq!((lookup.outcome, shown), (outcome, wanted));
    }
    let nothing = Options { keep_attempts: false, ..options(2) };
    let recording = run(&target, &nothing, arrivals, HALF_A_SECOND, 1, &bought_and_looked_up, &live).unwrap();
    assert!(recording.attempts.is_empty() && recording.lookups.is_empty());
}

#[test]
fn what_is_handed_over_comes_while_it_goes_on_and_is_not_kept() {
    let (tell, told) = mpsc::channel();
    let told = Mutex::new(told);
    let server = server(move |mut peer| {
        peer.answer(|request| {
            // The last request of either thread. Were nothing handed over before the end, this would wait for ever.
            if shopper(request) == 99 {
                told.lock().unwrap().recv().unwrap();
            }
            success(request)
        });
    });
    let (live, handed) = (Live::default(), Mutex::new(Vec::new()));
    let hand_over = |attempts: Vec<Attempt>, lookups: Vec<Lookup>| {
        handed.lock().unwrap().push((attempts, lookups));
        tell.send(()).unwrap();
    };
    let when = When { arrivals: Arrivals::Constant { rate: 200.0 }, lasts: Duration::from_secs(1), seed: 1 };
    let options = Options { threads: 2, ..options(4) };
    let recording = run_into(&target(server), &options, when, &bought_and_looked_up, &live, Some(&hand_over)).unwrap();
    all(&recording, Outcome::Purchased, 100);
    assert_eq!(recording.tally(Route::Receipt).unwrap().counts, BTreeMap::from([(Outcome::Found, 100)]));
    assert!(recording.attempts.is_empty() && recording.lookups.is_empty());
    let handed = handed.into_inner().unwrap();
    assert_eq!(handed.iter().map(|(_, lookups)| lookups.len()).sum::<usize>(), 100);
    let due: BTreeSet<u64> = handed.iter().flat_map(|(attempts, _)| attempts).map(|attempt| attempt.due_us).collect();
    assert_eq!(due, (0..100).map(|number| number * 10_000).collect(), "one schedule without a gap");
}

#[test]
fn a_refusal_says_when_to_come_back_or_is_impolite() {
    let server = server(|mut peer| {
        peer.answer(|request| match shopper(request) % 2 {
            0 => answer("503 Service Unavailable", "Retry-After: 2\r\n", r#"{"success":false}"#),
            _ => answer("429 Too Many Requests", "", r#"{"success":false}"#),
        });
    });
    let recording = send(server, &options(2), Arrivals::Burst { count: 10 }, HALF_A_SECOND);
    assert_eq!(counts(&recording), BTreeMap::from([(Outcome::RateLimited, 5), (Outcome::Unavailable, 5)]));
    assert!(recording.attempts.iter().all(|attempt| attempt.polite == (attempt.outcome == Outcome::Unavailable)));
    let tally = recording.tally(Route::Purchase).unwrap();
    assert_eq!((tally.refused.len(), tally.since_due.len()), (10, 0));
}

#[test]
fn half_an_answer_is_broken_and_not_asked_for_again() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    let server = server(move |mut peer| {
        if let Some(request) = peer.request() {
            seen.lock().unwrap().push(shopper(&request));
            let whole = success(&request);
            peer.say(&whole[..whole.len() / 2]);
        }
    });
    let recording = send(server, &options(1), Arrivals::Burst { count: 5 }, HALF_A_SECOND);
    all(&recording, Outcome::Broken, 5);
    assert_eq!(*requests.lock().unwrap(), [0, 1, 2, 3, 4]);
    let failures = BTreeMap::from([("closed by the server before it answered".to_owned(), 5)]);
    assert_eq!((recording.failures, recording.connected), (failures, 5));
}

#[test]
fn a_body_may_come_in_chunks() {
    let server = server(|mut peer| {
        peer.answer(|request| {
            let body = receipt(shopper(request));
            let (first, rest) = body.split_at(40);
            let (first_bytes, rest_bytes) = (first.len(), rest.len());
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            format!("{head}{first_bytes:x}\r\n{first}\r\n{rest_bytes:x}\r\n{rest}\r\n0\r\n\r\n")
        });
    });
    let recording = send(server, &options(1), Arrivals::Burst { count: 3 }, HALF_A_SECOND);
    all(&recording, Outcome::Purchased, 3);
    let numbers: Vec<&str> =
        recording.attempts.iter().map(|attempt| &*attempt.receipt.as_ref().unwrap().number).collect();
    assert_eq!((numbers, recording.connected), (vec!["PUR-0", "PUR-1", "PUR-2"], 1));
}

#[test]
fn two_answers_in_one_packet_are_each_to_its_request() {
    let server = server(|mut peer| {
        // Whoever waits for the first answer before the second request waits for ever.
        while let (Some(first), Some(second)) = (peer.request(), peer.request()) {
            peer.say(&format!("{}{}", success(&first), success(&second)));
        }
    });
    let options = Options { pipeline: 2, ..options(1) };
    let recording = send(server, &options, Arrivals::Burst { count: 6 }, HALF_A_SECOND);
    all(&recording, Outcome::Purchased, 6);
    for attempt in &recording.attempts {
        assert_eq!(&*attempt.receipt.as_ref().unwrap().number, format!("PUR-{}", attempt.shopper));
    }
    assert_eq!(recording.connected, 1);
}

#[test]
fn what_waits_behind_a_stall_is_as_late_as_it_is() {
    let stall = Duration::from_millis(300);
    let server = server(move |mut peer| {
        peer.answer(|request| {
            if shopper(request) == 20 {
                thread::sleep(stall);
            }
            success(request)
        });
    });
    let recording = send(server, &options(1), Arrivals::Constant { rate: 100.0 }, Duration::from_secs(1));
    all(&recording, Outcome::Purchased, 100);
    let tally = recording.tally(Route::Purchase).unwrap();
    // Thirty were due while the server stood still, and each waited for what was left of that.
    assert!(tally.since_due.value_at_quantile(0.85) > 100_000, "{}", tally.since_due.value_at_quantile(0.85));
    // Only one was with the server.
    assert!(tally.since_sent.value_at_quantile(0.9) < 250_000, "{}", tally.since_sent.value_at_quantile(0.9));
    for latency in [&tally.since_due, &tally.since_sent] {
        assert!(latency.max() >= 300_000, "{}", latency.max());
    }
    let late = recording.attempts.iter().filter(|attempt| attempt.sent_us - attempt.due_us > 100_000).count();
    assert!(late >= 15, "{late}");
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced() {
    let server = server(|mut peer| {
        if let Some(request) = peer.request() {
            peer.say(&success(&request));
        }
    });
    // Long enough apart that a slow machine has closed the connection before the next one is due.
    let recording = send(server, &options(1), Arrivals::Constant { rate: 1.0 }, Duration::from_secs(3));
    all(&recording, Outcome::Purchased, 3);
    assert_eq!((recording.connected, recording.failures.len()), (3, 0));
}

#[test]
fn without_keeping_alive_there_is_one_request_a_connection() {
    let server = server(|mut peer| {
        peer.answer(|request| {
            assert!(request.contains("\r\nconnection: close\r\n"), "{request}");
            success(request)
        });
    });
    let options = Options { keep_alive: false, ..options(3) };
    let recording = send(server, &options, Arrivals::Burst { count: 10 }, HALF_A_SECOND);
    all(&recording, Outcome::Purchased, 10);
    assert_eq!(recording.connected, 10);
}

#[test]
fn all_connections_are_opened_first_and_all_are_used() {
    let used = Arc::new(Mutex::new(BTreeMap::<usize, u64>::new()));
    let seen = used.clone();
    let server = server(move |mut peer| {
        let number = peer.number;
        peer.answer(|request| {
            *seen.lock().unwrap().entry(number).or_default() += 1;
            success(request)
        });
    });
    let options = Options { open_first: true, threads: 2, ..options(4) };
    let recording = send(server, &options, Arrivals::Constant { rate: 80.0 }, HALF_A_SECOND);
    all(&recording, Outcome::Purchased, 40);
    assert_eq!(recording.connected, 4);
    let used = used.lock().unwrap();
    assert!(used.len() == 4 && used.values().all(|count| *count >= 1), "{used:?}");
}

#[test]
fn no_answer_in_time_is_broken_and_what_never_had_its_turn_unsent() {
    let server = server(|mut peer| while peer.request().is_some() {});
    let options = Options { answer_max: Duration::from_millis(200), ..options(1) };
    let recording = send(server, &options, Arrivals::Burst { count: 5 }, Duration::from_millis(100));
    let broken = counts(&recording)[&Outcome::Broken];
    assert!(broken >= 1 && recording.unsent >= 1, "{broken} broken, {} unsent", recording.unsent);
    assert_eq!(broken + recording.unsent, 5);
    assert_eq!(recording.failures, BTreeMap::from([("no answer within 200ms".to_owned(), broken)]));
}

#[test]
fn without_a_server_all_is_broken() {
    for open_first in [false, true] {
        let options = Options { open_first, ..options(2) };
        let recording = send(NOBODY, &options, Arrivals::Burst { count: 5 }, HALF_A_SECOND);
        all(&recording, Outcome::Broken, 5);
        assert_eq!(recording.connected, 0);
        assert!(recording.failures.keys().all(|what| what.contains("refused")), "{:?}", recording.failures);
    }
    let recording = send(NOBODY, &options(2), Arrivals::Closed, Duration::from_millis(100));
    assert!(counts(&recording).is_empty());
    // It is asked again after a while, and not all the time.
    assert!((1..100).contains(&recording.failures.values().sum::<u64>()), "{:?}", recording.failures);
}

#[test]
fn without_a_schedule_the_next_one_waits_for_an_answer() {
    let server = server(|mut peer| peer.answer(success));
    let options = Options { threads: 2, pipeline: 2, ..options(4) };
    let recording = send(server, &options, Arrivals::Closed, HALF_A_SECOND);
    let sent = recording.attempts.len() as u64;
    all(&recording, Outcome::Purchased, sent);
    assert!(sent > 8 && recording.connected == 4 && recording.unsent == 0, "{sent} {}", recording.connected);
    assert!(recording.attempts.iter().all(|attempt| attempt.due_us == attempt.sent_us));
    let shoppers: BTreeSet<u64> = recording.attempts.iter().map(|attempt| attempt.shopper).collect();
    assert_eq!(shoppers.len() as u64, sent);
    assert!(recording.took >= HALF_A_SECOND, "{:?}", recording.took);
}

#[test]
fn a_run_may_end_early() {
    let server = server(|mut peer| peer.answer(success));
    for arrivals in [Arrivals::Constant { rate: 100.0 }, Arrivals::Closed] {
        let live = Live::default();
        let recording = thread::scope(|scope| {
            scope.spawn(|| {
                let began = std::time::Instant::now();
                while live.answered.load(Ordering::Relaxed) == 0 && began.elapsed() < Duration::from_secs(60) {
                    thread::yield_now();
                }
                live.stop.store(true, Ordering::Relaxed);
            });
            run(&target(server), &options(2), arrivals, Duration::from_secs(60), 1, &purchase, &live).unwrap()
        });
        assert!(recording.took < Duration::from_secs(30), "{:?}", recording.took);
        assert!(counts(&recording).keys().eq([&Outcome::Purchased]), "{:?}", recording.failures);
    }
}

#[test]
fn what_would_break_out_of_a_request_is_refused() {
    let broken = [
        Target { skus: vec!["A\"".to_owned()], ..target(NOBODY) },
        Target { skus: Vec::new(), ..target(NOBODY) },
        Target { servers: Vec::new(), ..target(NOBODY) },
        Target { prefix: "t\r\nx-admin-key: 1".to_owned(), ..target(NOBODY) },
        Target { headers: vec![("a".to_owned(), "b\n".to_owned())], ..target(NOBODY) },
    ];
    for target in broken {
        let refused = run(&target, &options(1), Arrivals::Closed, HALF_A_SECOND, 1, &purchase, &Live::default());
        assert!(refused.is_err(), "{target:?}");
    }
}

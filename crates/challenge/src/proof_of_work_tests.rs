use flashsale_core::{Sku, UserId};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "a-secret-of-thirty-two-characters";
const NOW: Micros = Micros(1_795_435_200_123_456);

/// Easy enough that a test solves it at once, hard enough that a wrong number does not by chance.
fn config(secret: &str) -> Config {
    Config { secret: secret.into(), difficulty_bits: 10, difficulty_bits_max: 12, ttl_ms: 60_000, ..Config::default() }
}

struct Shopper(Sku, UserId);

impl Shopper {
    fn new(sku: &str, user: &str) -> Self {
        Self(Sku::new(sku).unwrap(), UserId::new(user).unwrap())
    }

    fn subject(&self) -> Subject<'_> {
        Subject { sku: &self.0, user: &self.1 }
    }
}

fn puzzle(work: &ProofOfWork, shopper: &Shopper, load: f32) -> (String, u32) {
    match work.task(shopper.subject(), NOW, load) {
        Task::ProofOfWork { challenge, difficulty_bits, expires_at } => {
            assert_eq!(expires_at, Micros(NOW.0 + 60_000_000).to_string());
            (challenge, difficulty_bits)
        }
        other => panic!("{other:?}"),
    }
}

/// The first response whose zero bits are as `wanted` says.
fn response(challenge: &str, wanted: impl Fn(u32) -> bool) -> String {
    let mut responses = (0_u64..).map(|number| format!("{challenge}:{number}"));
    responses.find(|one| wanted(leading_zero_bits(&Sha256::digest(one)))).unwrap()
}

fn solved((challenge, bits): &(String, u32)) -> String {
    response(challenge, |zeros| zeros >= *bits)
}

#[test]
fn nf_10_a_solution_is_taken_again_and_again_until_it_expires() {
    let (work, ann) = (ProofOfWork::new(&config(SECRET)), Shopper::new("PHONE", "ann"));
    let solution = solved(&puzzle(&work, &ann, 0.0));
    let at = |later_us: i64| work.check(ann.subject(), &solution, Micros(NOW.0 + later_us));
    for later in [0, 1, 59_000_000, 59_999_000 - 456] {
        assert_eq!(at(later), Ok(()), "after {later} us");
    }
    for later in [60_000_000, i64::MAX - NOW.0] {
        assert_eq!(at(later), Err(Refusal::Expired), "after {later} us");
    }
    // Another process with the same secret takes it, one with another does not.
    assert_eq!(ProofOfWork::new(&config(SECRET)).check(ann.subject(), &solution, NOW), Ok(()));
    for other in [SECRET.to_uppercase().as_str(), ""] {
        let other = ProofOfWork::new(&config(other));
        assert_eq!(other.check(ann.subject(), &solution, NOW), Err(Refusal::Forged));
    }
}

#[test]
fn nf_10_a_solution_is_good_for_one_shopper_and_one_sale() {
    let (work, ann) = (ProofOfWork::new(&config(SECRET)), Shopper::new("PHONE", "ann"));
    let solution = solved(&puzzle(&work, &ann, 0.0));
    for other in [Shopper::new("PHONE", "bob"), Shopper::new("PHONE-2", "ann"), Shopper::new("PHONE", "Ann")] {
        assert_eq!(work.check(other.subject(), &solution, NOW), Err(Refusal::NotTheirs), "{:?}", other.subject());
    }
}

#[test]
fn nf_10_a_solution_must_be_as_hard_as_was_asked_and_no_harder() {
    let (work, ann) = (ProofOfWork::new(&config(SECRET)), Shopper::new("PHONE", "ann"));
    let (challenge, bits) = puzzle(&work, &ann, 1.0);
    assert_eq!(bits, 12, "under load");
    let almost = response(&challenge, |zeros| zeros == 11);
    assert_eq!(work.check(ann.subject(), &almost, NOW), Err(Refusal::Unsolved));
    let (calm, bits) = puzzle(&work, &ann, 0.0);
    assert_eq!(bits, 10, "while it is calm");
    let enough = response(&calm, |zeros| zeros == 10);
    assert_eq!(work.check(ann.subject(), &enough, NOW), Ok(()), "the load may have risen meanwhile");
}

#[test]
fn nf_10_an_easier_or_longer_puzzle_cannot_be_made_at_home() {
    let (work, ann) = (ProofOfWork::new(&config(SECRET)), Shopper::new("PHONE", "ann"));
    let (challenge, _) = puzzle(&work, &ann, 0.0);
    let (payload, mac) = challenge.split_once('.').unwrap();
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert!(text.starts_with("1.10.1795435260123."), "{text}");
    for forged in [text.replace("1.10.", "1.0."), text.replace(".1795435260123.", ".9795435260123.")] {
        let forged = format!("{}.{mac}:0", URL_SAFE_NO_PAD.encode(forged));
        assert_eq!(work.check(ann.subject(), &forged, NOW), Err(Refusal::Forged));
    }
    let (zeros, more) = (URL_SAFE_NO_PAD.encode([0; 32]), URL_SAFE_NO_PAD.encode([0; 1_000]));
    for mac in [&mac[..40], "", zeros.as_str(), more.as_str()] {
        assert_eq!(work.check(ann.subject(), &format!("{payload}.{mac}:0"), NOW), Err(Refusal::Forged), "{mac}");
    }
}

#[test]
fn what_is_no_response_is_malformed() {
    let (work, ann) = (ProofOfWork::new(&config(SECRET)), Shopper::new("PHONE", "ann"));
    let (challenge, _) = puzzle(&work, &ann, 0.0);
    for bad in [
        String::new(),
        ":".into(),
        "0".into(),
        challenge.clone(),
        format!("{challenge}:"),
        format!("{challenge}:-1"),
        format!("{challenge}:+1"),
        format!("{challenge}:1 "),
        format!("{challenge}:18446744073709551616"),
        format!("{challenge}=:1"),
        "..:1".into(),
    ] {
        assert_eq!(work.check(ann.subject(), &bad, NOW), Err(Refusal::Malformed), "{bad}");
    }
}

#[test]
fn nf_10_the_load_makes_puzzles_harder_within_their_bounds() {
    let bits = [-1.0, 0.0, 0.5, 0.6, 0.75, 0.9, 1.0, 7.0].map(|load| difficulty(load, 18, 22));
    assert_eq!(bits, [18, 18, 18, 19, 20, 21, 22, 22]);
    assert_eq!(difficulty(f32::NAN, 18, 22), 18);
    assert_eq!(difficulty(0.9, 20, 20), 20);
}

#[test]
fn zero_bits_are_counted_over_bytes() {
    for (hash, bits) in [(&[0x80, 0][..], 0), (&[0x01, 0xff], 7), (&[0, 0x7f], 9), (&[0, 0, 0x10], 19), (&[0, 0], 16)] {
        assert_eq!(leading_zero_bits(hash), bits, "{hash:?}");
    }
}

proptest! {
    #[test]
    fn more_load_never_makes_a_puzzle_easier(
        one in -1.0f32..3.0, other in -1.0f32..3.0, bits in 1u32..20, more in 0u32..10,
    ) {
        let (low, high) = (one.min(other), one.max(other));
        let at = |load| difficulty(load, bits, bits + more);
        prop_assert!(bits <= at(low) && at(low) <= at(high) && at(high) <= bits + more);
    }

    #[test]
    fn nothing_from_outside_is_taken_or_breaks_it(response in "[ -~]{0,300}") {
        let (work, ann) = (ProofOfWork::new(&config(SECRET)), Shopper::new("PHONE", "ann"));
        prop_assert!(work.check(ann.subject(), &response, NOW).is_err());
    }
}

//! What happens in one case, as data: proptest makes it, shrinks it and prints it.

use std::fmt;

use proptest::{collection::vec, prelude::*};

/// Write edges.
pub(crate) const EDGES: usize = 3;

/// What becomes of one record on its way to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is written, and its sender told so.
    Acked,
    /// It is written, and its sender never told.
    AckLost,
    /// Its sender gave it up, though it is under way still.
    Late,
    /// It is gone, and its sender gave it up.
    Lost,
}

/// One thing that happens. Numbers pick one of those that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A shopper asks, in the first tab or the second, which has another key. The same again is a retry.
    Ask { user: u8, tab: u8, edge: u8 },
    /// A shopper hangs up.
    GiveUp { user: u8 },
    /// An edge goes on to the next await point of one of its tasks.
    Step { edge: u8, task: u8 },
    /// The call to Redis of an edge, or the reply to it, is lost with its connection.
    LoseReply { edge: u8 },
    /// A deadline of an edge passes: for Redis' decision, or for the log.
    TimeOut { edge: u8, task: u8 },
    /// An edge is killed, and starts with an empty memory.
    KillEdge { edge: u8 },
    /// Redis is killed and comes back without its last writes. A replica may be further behind than a file.
    CrashRedis { lost: u8, replica: bool },
    /// One record reaches the log, or not.
    Land { record: u8, fate: Fate },
    /// The relay goes on to its next await point.
    Relay,
    /// The relay is killed.
    KillRelay,
    /// The recovery goes on to its next await point. At its waiting `landed` says which of the records under
    /// way arrive, and `stalled` which edges stood still with a reply in their hands.
    Recover { landed: u8, stalled: u8 },
    /// Whoever recovers is killed.
    KillRecovery,
    /// Whoever recovers stands still, until its claim is over.
    StallRecovery,
    /// It goes on where it stood.
    WakeRecovery,
    /// The sink reads some of one partition.
    Sink { partition: u8 },
}

/// One case.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) stock: u64,
    /// Shoppers, more than there are units.
    pub(crate) users: u8,
    pub(crate) actions: Vec<Action>,
}

impl fmt::Debug for Schedule {
    /// One action a line, as it can be pasted into a test.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} units, {} users", self.stock, self.users)?;
        self.actions.iter().try_for_each(|action| writeln!(f, "    {action:?},"))
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Acked), 1 => Just(Fate::AckLost), 1 => Just(Fate::Late), 1 => Just(Fate::Lost)]
}

fn action() -> impl Strategy<Value = Action> {
    let edge = || 0..u8::try_from(EDGES).unwrap_or(u8::MAX);
    let bits = || prop_oneof![3 => Just(u8::MAX), 1 => any::<u8>()];
    prop_oneof![
        12 => (0..8_u8, prop_oneof![5 => Just(0_u8), 1 => Just(1_u8)], edge())
            .prop_map(|(user, tab, edge)| Action::Ask { user, tab, edge }),
        1 => (0..8_u8).prop_map(|user| Action::GiveUp { user }),
        40 => (edge(), 0..4_u8).prop_map(|(edge, task)| Action::Step { edge, task }),
        2 => edge().prop_map(|edge| Action::LoseReply { edge }),
        2 => (edge(), 0..4_u8).prop_map(|(edge, task)| Action::TimeOut { edge, task }),
        2 => edge().prop_map(|edge| Action::KillEdge { edge }),
        2 => (0..7_u8, prop::bool::weighted(0.2)).prop_map(|(lost, replica)| Action::CrashRedis { lost, replica }),
        20 => (0..6_u8, fate()).prop_map(|(record, fate)| Action::Land { record, fate }),
        6 => Just(Action::Relay),
        1 => Just(Action::KillRelay),
        16 => (bits(), prop_oneof![2 => Just(0_u8), 1 => 0..8_u8])
            .prop_map(|(landed, stalled)| Action::Recover { landed, stalled }),
        1 => Just(Action::KillRecovery),
        1 => Just(Action::StallRecovery),
        1 => Just(Action::WakeRecovery),
        4 => (0..3_u8).prop_map(|partition| Action::Sink { partition }),
    ]
}

/// Any case.
pub(crate) fn schedules() -> impl Strategy<Value = Schedule> {
    (1..=4_u64, 1..=3_u8, vec(action(), 1..200)).prop_map(|(stock, more, actions)| {
        let users = u8::try_from(stock).unwrap_or(u8::MAX) + more;
        Schedule { stock, users, actions }
    })
}

//! The decisions, as tables: at which second what is so, and what is done about it.

use proptest::prelude::*;

use super::*;

const S: u64 = 1000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn facts(live: &[u128], at_ms: u64) -> Facts {
    Facts {
        live: live.iter().copied().map(id).collect(),
        now_us: i64::try_from(at_ms).unwrap() * 1000,
        is_closing: false,
    }
}

fn quiet() -> Lifecycle {
    Lifecycle::new(ms(3600 * S), 7)
}

fn update(channel: u128, is_live: bool, at_ms: i64) -> Action {
    let (modified_us, condition) = (at_ms * 1000, Condition::None);
    Action::Update { channel: id(channel), is_live, modified_us, condition }
}

/// A row of a table: at which millisecond, who is live, what must be done, and how that ends at once.
type Row<'a> = (u64, &'a [u128], &'a [Action], Outcome);

fn run(lifecycle: &mut Lifecycle, rows: &[Row<'_>]) {
    for (at, live, expected, outcome) in rows {
        let actions = lifecycle.step(&facts(live, *at), ms(*at));
        assert_eq!(actions, *expected, "at {at} ms");
        for action in &actions {
            lifecycle.done(action, *outcome, ms(*at));
        }
    }
}

#[test]
fn on_at_once_and_off_after_it_has_settled() {
    use Outcome::Settled;
    let mut lifecycle = quiet();
    run(
        &mut lifecycle,
        &[
            (0, &[], &[], Settled),
            (100, &[1], &[update(1, true, 100)], Settled),
            (200, &[1], &[], Settled),
            (5000, &[], &[], Settled),
            (5900, &[], &[], Settled),
            (6000, &[], &[update(1, false, 5000)], Settled),
            (6100, &[], &[], Settled),
        ],
    );
    assert!(lifecycle.entries().is_empty(), "nothing is kept of a channel that is off and known to be");
}

#[test]
fn flapping_writes_little_and_ends_right() {
    let mut lifecycle = quiet();
    let mut written = Vec::new();
    for tick in 0..100_u64 {
        let live: &[u128] = if tick % 2 == 0 { &[1] } else { &[] };
        for action in lifecycle.step(&facts(live, tick * 100), ms(tick * 100)) {
            lifecycle.done(&action, Outcome::Settled, ms(tick * 100));
            written.push(action);
        }
    }
    assert_eq!(written, [update(1, true, 0)], "it was never off for long");
    let last = lifecycle.step(&facts(&[], 11_000), ms(11_000));
    assert_eq!(last, [update(1, false, 9900)]);
}

#[test]
fn a_channel_has_one_request_on_its_way_and_the_last_state_wins() {
    let mut lifecycle = quiet();
    let first = lifecycle.step(&facts(&[1], 0), ms(0));
    assert_eq!(first, [update(1, true, 0)]);
    // The answer takes ten seconds, in which much happens.
    for at in [1000, 3000, 5000] {
        assert_eq!(lifecycle.step(&facts(&[], at), ms(at)), []);
        assert_eq!(lifecycle.step(&facts(&[1], at + 1000), ms(at + 1000)), []);
    }
    assert_eq!(lifecycle.step(&facts(&[], 9000), ms(9000)), []);
    lifecycle.done(&first[0], Outcome::Settled, ms(10_000));
    assert_eq!(lifecycle.step(&facts(&[], 10_000), ms(10_000)), [update(1, false, 9000)]);
}

#[test]
fn while_the_table_is_away_pauses_grow_and_only_the_end_is_told() {
    use Outcome::Away;
    let mut lifecycle = quiet();
    run(&mut lifecycle, &[(0, &[1], &[update(1, true, 0)], Away)]);
    let (mut at, mut tries, mut pauses) = (0, 0, Vec::new());
    while at < 120 * S {
        let due = u64::try_from(lifecycle.next_due().unwrap().as_millis()).unwrap() + 1;
        pauses.push(due - at);
        at = due;
        let actions = lifecycle.step(&facts(&[1], at), ms(at));
        assert_eq!(actions, [update(1, true, 0)]);
        lifecycle.done(&actions[0], Away, ms(at));
        tries += 1;
    }
    assert!((6..=14).contains(&tries), "{tries} tries in two minutes: {pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 30_001), "{pauses:?}");
    // Off in the meantime: the row may be on, so that is told.
    lifecycle.step(&facts(&[], at + 1), ms(at + 1));
    let later = at + 31 * S;
    assert_eq!(
        lifecycle.step(&facts(&[], later), ms(later)),
        [update(1, false, i64::try_from(at).unwrap() + 1)]
    );
}

#[test]
fn a_channel_that_was_on_and_off_before_anything_was_said_says_nothing() {
    let mut lifecycle = quiet();
    // All places are taken by others.
    let others: Vec<u128> = (100..100 + MAX_IN_FLIGHT as u128).collect();
    assert_eq!(lifecycle.step(&facts(&others, 0), ms(0)).len(), MAX_IN_FLIGHT);
    let with: Vec<u128> = others.iter().copied().chain([1]).collect();
    assert_eq!(lifecycle.step(&facts(&with, 10), ms(10)), []);
    lifecycle.step(&facts(&others, 20), ms(20));
    assert!(lifecycle.entries().iter().all(|entry| entry.channel != id(1)));
}

#[test]
fn a_refusal_is_tried_again_in_no_hurry() {
    let mut lifecycle = quiet();
    run(
        &mut lifecycle,
        &[(0, &[1], &[update(1, true, 0)], Outcome::Refused), (4900, &[1], &[], Outcome::Settled)],
    );
    assert!(lifecycle.next_due().unwrap() >= MIN_REFUSED_BACKOFF / 2);
}

#[test]
fn nobody_starves_behind_eight_places() {
    let mut lifecycle = quiet();
    let all: Vec<u128> = (0..100).collect();
    let mut told = BTreeSet::new();
    for round in 0..13 {
        let actions = lifecycle.step(&facts(&all, round), ms(round));
        assert!(actions.len() <= MAX_IN_FLIGHT);
        for action in actions {
            lifecycle.done(&action, Outcome::Settled, ms(round));
            let Action::Update { channel, .. } = action else { panic!("{action:?}") };
            assert!(told.insert(channel), "twice");
        }
    }
    assert_eq!(told.len(), 100);
}

#[test]
fn after_a_restart_what_was_on_goes_off_unless_it_comes_back() {
    let mut before = quiet();
    run(&mut before, &[(0, &[1, 2], &[update(1, true, 0), update(2, true, 0)], Outcome::Settled)]);
    let entries = before.entries();
    assert_eq!(entries, [1, 2].map(|n| Entry { channel: id(n), stamps_us: vec![0] }));

    let mut after = quiet();
    after.restore(entries, &facts(&[], 60_000), ms(0));
    assert_eq!(after.step(&facts(&[2], 61_000), ms(1000)), [update(2, true, 61_000)]);
    assert_eq!(after.step(&facts(&[2], 64_900), ms(4900)), []);
    let actions = after.step(&facts(&[2], 65_000), ms(5000));
    let condition = Condition::Ours(vec![0]);
    let expected = Action::Update { channel: id(1), is_live: false, modified_us: 60_000_000, condition };
    assert_eq!(actions, [expected]);
}

#[test]
fn an_update_without_an_answer_leaves_both_stamps_for_the_next_run() {
    let mut before = quiet();
    run(
        &mut before,
        &[(0, &[1], &[update(1, true, 0)], Outcome::Settled), (5000, &[], &[], Outcome::Settled)],
    );
    let off = before.step(&facts(&[], 6000), ms(6000));
    before.done(&off[0], Outcome::Away, ms(6000));
    assert_eq!(before.entries(), [Entry { channel: id(1), stamps_us: vec![5_000_000, 0] }]);
}

#[test]
fn live_channels_are_told_anew_in_batches_that_block_their_updates() {
    let mut lifecycle = Lifecycle::new(ms(10 * S), 7);
    let all: Vec<u128> = (0..250).collect();
    for at in 0..40 {
        for action in lifecycle.step(&facts(&all, at), ms(at)) {
            lifecycle.done(&action, Outcome::Settled, ms(at));
        }
    }
    let actions = lifecycle.step(&facts(&all, 10_000), ms(10_000));
    let sizes: Vec<usize> = actions
        .iter()
        .map(|action| match action {
            Action::Refresh { channels, modified_us: 10_000_000 } => channels.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [100, 100, 50]);
    // Channel 0 goes off while its refresh is on its way: it waits for that, then it is told.
    assert_eq!(lifecycle.step(&facts(&all[1..], 10_100), ms(10_100)), []);
    assert_eq!(lifecycle.step(&facts(&all[1..], 12_000), ms(12_000)), []);
    lifecycle.done(&actions[0], Outcome::Away, ms(12_000));
    assert_eq!(lifecycle.step(&facts(&all[1..], 12_000), ms(12_000)), [update(0, false, 10_100)]);
}

#[test]
fn a_node_that_stops_says_so_at_once() {
    let mut lifecycle = quiet();
    run(&mut lifecycle, &[(0, &[1], &[update(1, true, 0)], Outcome::Settled)]);
    let closing = Facts { is_closing: true, ..facts(&[], 10) };
    assert_eq!(lifecycle.step(&closing, ms(10)), [update(1, false, 10)]);
}

#[test]
fn the_number_of_channels_is_bounded() {
    let mut lifecycle = quiet();
    let all: Vec<u128> = (0..MAX_CHANNELS as u128 + 5).collect();
    lifecycle.step(&facts(&all, 0), ms(0));
    assert_eq!(lifecycle.overflow(), 5);
    assert_eq!(lifecycle.entries().len(), MAX_CHANNELS);
}

proptest! {
    /// Whatever happens, once the facts rest and the table answers, the rows say what is so.
    #[test]
    fn in_the_end_the_rows_are_right(
        steps in proptest::collection::vec((0_u64..3000, 0_u8..16, 0_u8..3), 1..=MAX_STAMPS),
        restart_at in 0_usize..=MAX_STAMPS,
    ) {
        let mut rows: BTreeMap<Uuid, (bool, i64)> = BTreeMap::new();
        let mut lifecycle = Lifecycle::new(ms(4 * S), 3);
        let (mut wall, mut start) = (0_u64, 0_u64);
        let mut last = 0_u8;
        let settle = (0..600).map(|_| (500, None, 0));
        let steps = steps.into_iter().map(|(by, live, how)| (by, Some(live), how)).chain(settle);
        for (number, (by, live, how)) in steps.enumerate() {
            wall += by + 1;
            if number == restart_at {
                let entries = lifecycle.entries();
                lifecycle = Lifecycle::new(ms(4 * S), 3);
                start = wall;
                lifecycle.restore(entries, &facts(&[], wall), ms(0));
            }
            last = live.unwrap_or(last);
            let live: Vec<u128> = (0..4).filter(|bit| last & (1 << bit) != 0).collect();
            let now = ms(wall - start);
            for action in lifecycle.step(&facts(&live, wall), now) {
                // Away may mean that the row was changed, or that it was not.
                let (is_applied, outcome) = match how {
                    0 => (true, Outcome::Settled),
                    1 => (true, Outcome::Away),
                    _ => (false, Outcome::Away),
                };
                if is_applied {
                    match &action {
                        Action::Update { channel, is_live, modified_us, condition } => {
                            let fits = match condition {
                                Condition::Ours(stamps) => {
                                    rows.get(channel).is_none_or(|(_, at)| stamps.contains(at))
                                }
                                _ => true,
                            };
                            if fits {
                                rows.insert(*channel, (*is_live, *modified_us));
                            }
                        }
                        Action::Refresh { channels, modified_us } => {
                            for channel in channels {
                                rows.insert(*channel, (true, *modified_us));
                            }
                        }
                    }
                }
                lifecycle.done(&action, outcome, now);
            }
        }
        for channel in 0..4_u128 {
            let is_on = rows.get(&id(channel)).is_some_and(|(is_live, _)| *is_live);
            prop_assert_eq!(is_on, last & (1 << channel) != 0, "channel {}", channel);
        }
        prop_assert_eq!(lifecycle.pending(), 0);
    }
}

//! The decision.

use uuid::Uuid;

use crate::Policy;

/// A stretch of time, UTC microseconds; the end does not belong to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First instant.
    pub from_us: i64,
    /// Instant after the last.
    pub to_us: i64,
}

impl Range {
    fn holds(self, other: Self) -> bool {
        self.from_us <= other.from_us && other.to_us <= self.to_us
    }

    fn has(self, instant_us: i64) -> bool {
        (self.from_us..self.to_us).contains(&instant_us)
    }
}

/// Where the footage belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The club; none for the channels of a streaming node.
    pub club: Option<Uuid>,
    /// The court.
    pub court: Option<Uuid>,
}

/// What somebody wants to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Playing a range.
    Replay(Range),
    /// A range as a file.
    Download(Range),
    /// A picture of a range.
    Picture(Range),
    /// What is broadcast.
    Live,
    /// The picture of a channel that other sites may show.
    Cover,
}

/// What a pass is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PassKind {
    /// A link that staff handed out.
    Link,
    /// The code of a slot.
    Code,
}

/// What a visitor has shown once, by its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pass {
    /// What it is of.
    pub kind: PassKind,
    /// Of the link or the code.
    pub id: Uuid,
}

/// What a pass opens at its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Every match, and what is broadcast.
    All,
    /// Footage of a range of time.
    Range(Range),
    /// What is broadcast, and back to an instant.
    Live {
        /// The instant, UTC microseconds.
        from_us: i64,
    },
    /// A match; what is broadcast while it is being played, and back to its beginning.
    Match(Range),
}

/// What a pass is good for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Which pass.
    pub pass: Pass,
    /// Of this club alone.
    pub club: Uuid,
    /// Of this court alone; none for all of the club's.
    pub court: Option<Uuid>,
    /// What it opens there.
    pub scope: Scope,
    /// Until when, UTC microseconds.
    pub until_us: i64,
    /// Whether it was taken back.
    pub is_revoked: bool,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Visitor<'a> {
    /// Whether it is one of those who run the server.
    pub is_operator: bool,
    /// What else he shows.
    pub grants: &'a [Grant],
}

/// Why somebody is let in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum By {
    /// Everybody is.
    Open,
    /// He runs the server.
    Operator,
    /// He has shown this.
    Pass(Pass),
}

/// Let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Admission {
    /// By what.
    pub by: By,
    /// Until when, UTC microseconds; without an end where there is none.
    pub until_us: Option<i64>,
    /// For what is broadcast: back to which instant, UTC microseconds; as far as there is where it is none.
    pub live_from_us: Option<i64>,
}

/// Not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing was shown that opens this.
    #[error("this club shows its matches only to those who have a link from it: ask the club for one")]
    LinkNeeded,
    /// Nothing was shown that opens this.
    #[error("this match is opened with its code, which the club hands out")]
    CodeNeeded,
    /// What was shown opened this once.
    #[error("this link or code has expired; ask the club for a new one")]
    Expired,
    /// What was shown was taken back.
    #[error("the club has taken this link or code back; ask it for a new one")]
    Revoked,
    /// Operators alone.
    #[error("this is not shown to the public")]
    Closed,
}

/// Whether a visitor may see what he asks for, by the policy of its place.
///
/// Of several grants that open it, the one that lasts longest counts.
///
/// # Errors
///
/// The refusal; of a pass that would open it and does not any more, why.
pub fn decide(
    policy: Policy,
    place: Place,
    visitor: Visitor<'_>,
    wish: Wish,
    now_us: i64,
) -> Result<Admission, Refusal> {
    if policy == Policy::Open {
        return Ok(Admission { by: By::Open, until_us: None, live_from_us: None });
    }
    if visitor.is_operator {
        return Ok(Admission { by: By::Operator, until_us: None, live_from_us: None });
    }
    let needed = match policy {
        Policy::Open | Policy::Closed => return Err(Refusal::Closed),
        Policy::Link => Refusal::LinkNeeded,
        Policy::Code => Refusal::CodeNeeded,
    };
    let mut best: Result<Admission, Refusal> = Err(needed);
    for grant in visitor.grants {
        let is_here = Some(grant.club) == place.club && (grant.court.is_none() || grant.court == place.court);
        // A link is more than a code: it opens where codes are asked for, and not the other way round.
        let counts = grant.pass.kind == PassKind::Link || policy == Policy::Code;
        let Some((until_us, live_from_us)) = opened(grant, wish, now_us).filter(|_| is_here && counts) else {
            continue;
        };
        let answer = if grant.is_revoked {
            Err(Refusal::Revoked)
        } else if now_us >= until_us {
            Err(Refusal::Expired)
        } else {
            Ok(Admission { by: By::Pass(grant.pass), until_us: Some(until_us), live_from_us })
        };
        best = match (best, answer) {
            (Ok(one), Ok(other)) => Ok(if other.until_us > one.until_us { other } else { one }),
            (Ok(one), Err(_)) => Ok(one),
            (Err(one), Err(_)) if one != needed => Err(one),
            (Err(_), answer) => answer,
        };
    }
    best
}

/// Until when a grant opens what is wished for, were it in force, and how far back live viewing reaches.
fn opened(grant: &Grant, wish: Wish, now_us: i64) -> Option<(i64, Option<i64>)> {
    let until_us = grant.until_us;
    match (grant.scope, wish) {
        // Covers are embedded in other sites, where a browser sends no cookie: no link or code can open them.
        (_, Wish::Cover) => None,
        (Scope::All, _) => Some((until_us, None)),
        (Scope::Live { from_us }, Wish::Live) => Some((until_us, Some(from_us))),
        (Scope::Live { .. }, _) | (Scope::Range(_), Wish::Live) => None,
        (Scope::Match(range), Wish::Live) => {
            range.has(now_us).then_some((until_us.min(range.to_us), Some(range.from_us)))
        }
        (
            Scope::Range(granted) | Scope::Match(granted),
            Wish::Replay(range) | Wish::Download(range) | Wish::Picture(range),
        ) => granted.holds(range).then_some((until_us, None)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLUB: Uuid = Uuid::from_u128(1);
    const COURT: Uuid = Uuid::from_u128(2);
    const OTHER: Uuid = Uuid::from_u128(9);
    const PLACE: Place = Place { club: Some(CLUB), court: Some(COURT) };
    const MATCH: Range = Range { from_us: 100, to_us: 200 };
    const RANGES: [Wish; 3] = [Wish::Replay(MATCH), Wish::Download(MATCH), Wish::Picture(MATCH)];
    const ALL: [Wish; 5] = [RANGES[0], RANGES[1], RANGES[2], Wish::Live, Wish::Cover];

    fn grant(kind: PassKind, scope: Scope) -> Grant {
        let pass = Pass { kind, id: Uuid::from_u128(3) };
        Grant { pass, club: CLUB, court: Some(COURT), scope, until_us: 1_000, is_revoked: false }
    }

    fn ask(policy: Policy, grants: &[Grant], wish: Wish, now_us: i64) -> Result<Admission, Refusal> {
        decide(policy, PLACE, Visitor { is_operator: false, grants }, wish, now_us)
    }

    #[test]
    fn the_table() {
        let link = |scope| Some(grant(PassKind::Link, scope));
        let code = |scope| Some(grant(PassKind::Code, scope));
        let (all, range, live, whole) =
            (Scope::All, Scope::Range(MATCH), Scope::Live { from_us: 50 }, Scope::Match(MATCH));
        let later = Scope::Range(Range { from_us: 101, to_us: 200 });
        let shorter = Scope::Match(Range { from_us: 100, to_us: 199 });
        // What is shown; then, while the match is being played: ranges, live and covers under `link`, and under `code`.
        type Row = (&'static str, Option<Grant>, [bool; 3], [bool; 3]);
        #[rustfmt::skip]
        let table: [Row; 12] = [
            ("nothing",                 None,                [false, false, false], [false, false, false]),
            ("a link to everything",    link(all),           [true,  true,  false], [true,  true,  false]),
            ("a link to the match",     link(range),         [true,  false, false], [true,  false, false]),
            ("a link to live",          link(live),          [false, true,  false], [false, true,  false]),
            ("a link to a part",        link(later),         [false, false, false], [false, false, false]),
            ("the code",                code(whole),         [false, false, false], [true,  true,  false]),
            ("the code of a part",      code(shorter),       [false, false, false], [false, true,  false]),
            ("a link of another club",  link(all).map(|grant| Grant { club: OTHER, ..grant }), [false; 3], [false; 3]),
            ("a link of another court", link(all).map(|grant| Grant { court: Some(OTHER), ..grant }), [false; 3], [false; 3]),
            ("a link of all courts",    link(all).map(|grant| Grant { court: None, ..grant }), [true, true, false], [true, true, false]),
            ("a code of another court", code(whole).map(|grant| Grant { court: Some(OTHER), ..grant }), [false; 3], [false; 3]),
            ("an expired link",         link(all).map(|grant| Grant { until_us: 150, ..grant }), [false; 3], [false; 3]),
        ];
        for (what, shown, link, code) in table {
            let grants: Vec<_> = shown.into_iter().collect();
            for (policy, expected) in [(Policy::Link, link), (Policy::Code, code)] {
                for wish in RANGES {
                    assert_eq!(
                        ask(policy, &grants, wish, 150).is_ok(),
                        expected[0],
                        "{what} {policy} {wish:?}"
                    );
                }
                assert_eq!(
                    ask(policy, &grants, Wish::Live, 150).is_ok(),
                    expected[1],
                    "{what} {policy} live"
                );
                assert_eq!(
                    ask(policy, &grants, Wish::Cover, 150).is_ok(),
                    expected[2],
                    "{what} {policy} cover"
                );
            }
            for wish in ALL {
                assert_eq!(ask(Policy::Open, &grants, wish, 150).map(|admission| admission.by), Ok(By::Open));
                assert_eq!(ask(Policy::Closed, &grants, wish, 150), Err(Refusal::Closed), "{what}");
            }
        }
    }

    #[test]
    fn operators_see_everything() {
        for policy in [Policy::Link, Policy::Code, Policy::Closed] {
            for wish in ALL {
                let visitor = Visitor { is_operator: true, grants: &[] };
                let admission = decide(policy, PLACE, visitor, wish, 0).unwrap();
                assert_eq!((admission.by, admission.until_us), (By::Operator, None));
            }
        }
    }

    #[test]
    fn refusals_have_names() {
        let link = grant(PassKind::Link, Scope::All);
        let revoked = Grant { is_revoked: true, ..link };
        let wish = Wish::Replay(MATCH);
        assert_eq!(ask(Policy::Link, &[], wish, 0), Err(Refusal::LinkNeeded));
        assert_eq!(ask(Policy::Code, &[], wish, 0), Err(Refusal::CodeNeeded));
        assert_eq!(ask(Policy::Link, &[link], wish, 1_000), Err(Refusal::Expired));
        assert_eq!(ask(Policy::Link, &[revoked], wish, 0), Err(Refusal::Revoked));
        // What would not open it anyway is no reason.
        let elsewhere = Grant { club: OTHER, ..revoked };
        assert_eq!(ask(Policy::Link, &[elsewhere], wish, 0), Err(Refusal::LinkNeeded));
        // One that is good is enough, wherever it stands.
        assert!(ask(Policy::Link, &[revoked, link], wish, 0).is_ok());
        assert!(ask(Policy::Link, &[link, revoked], wish, 0).is_ok());
    }

    #[test]
    fn the_grant_that_lasts_longest_counts() {
        let short = grant(PassKind::Link, Scope::All);
        let long = Grant { until_us: 2_000, ..grant(PassKind::Code, Scope::Match(MATCH)) };
        for grants in [[short, long], [long, short]] {
            let admission = ask(Policy::Code, &grants, Wish::Replay(MATCH), 150).unwrap();
            assert_eq!((admission.by, admission.until_us), (By::Pass(long.pass), Some(2_000)));
        }
    }

    #[test]
    fn a_code_shows_the_court_while_its_match_is_played_and_not_what_was_before() {
        let code = [grant(PassKind::Code, Scope::Match(MATCH))];
        assert_eq!(ask(Policy::Code, &code, Wish::Live, 99), Err(Refusal::CodeNeeded));
        let admission = ask(Policy::Code, &code, Wish::Live, 100).unwrap();
        assert_eq!((admission.until_us, admission.live_from_us), (Some(200), Some(100)));
        assert_eq!(ask(Policy::Code, &code, Wish::Live, 200), Err(Refusal::CodeNeeded));
        assert!(ask(Policy::Code, &code, Wish::Replay(MATCH), 200).is_ok(), "the match stays");
    }

    #[test]
    fn a_channel_of_no_club_is_opened_by_no_pass() {
        let place = Place::default();
        let grants = [grant(PassKind::Link, Scope::All)];
        for policy in [Policy::Link, Policy::Code, Policy::Closed] {
            let visitor = Visitor { is_operator: false, grants: &grants };
            assert!(decide(policy, place, visitor, Wish::Live, 0).is_err());
        }
        assert!(decide(Policy::Open, place, Visitor::default(), Wish::Live, 0).is_ok());
    }

    proptest! {
        /// However ranges lie, nothing outside of what was granted is shown.
        #[test]
        fn nothing_outside_of_a_range_is_shown(from in 0_i64..300, length in 1_i64..300, now in 0_i64..900) {
            let wish = Range { from_us: from, to_us: from + length };
            let grants = [grant(PassKind::Link, Scope::Range(MATCH)), grant(PassKind::Code, Scope::Match(MATCH))];
            let inside = from >= MATCH.from_us && from + length <= MATCH.to_us;
            for policy in [Policy::Link, Policy::Code] {
                prop_assert_eq!(ask(policy, &grants, Wish::Replay(wish), now).is_ok(), inside);
            }
        }
    }
}

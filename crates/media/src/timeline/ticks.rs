//! The publisher's clock: 32-bit milliseconds that roll over, stray, jump and differ between tracks, as one time that
//! goes on.
//!
//! Each track remembers its last stamp and the offset that maps its stamps to common time. A stamp near the track's last
//! one, or near the other track's, is taken; one far away is doubted, and the frames that follow tell what it was: a
//! stray (it gets the time between its neighbours), a hole (time really passed, as the arrival shows), or a jump of the
//! publisher's clock (a new offset, so that common time goes on).
//!
//! How long a silence may be before it is a hole follows the source's own rhythm: a camera of one picture every 5 s has none
//! between its pictures. Stamps that stand still say nothing: then the arrival does, see `still`.

use super::still::{Motion, Pace, Seen};
use crate::{
    TrackKind,
    timeline::limits::{
        DOUBTED_BACK_MS, DOUBTED_BYTES, DOUBTED_STEP_MS, FIRST_INTERLEAVE_MS, INTERLEAVE_MS, JUMP_FRAMES,
        LONGEST_RHYTHM_MS, LONGEST_STEP_MS, RHYTHM_FRAMES, RHYTHM_STEPS,
    },
};

/// Difference of arrival and stamps, up to which a silence is taken to be real.
const SILENCE_TOLERANCE_MS: i64 = 2_000;
/// A silence counts for at most this much common time: a day.
const LONGEST_SILENCE_MS: i64 = 86_400_000;
/// Both tracks flow when the last frame of each came within this.
const FLOWING_US: i64 = 1_000_000;
/// A frame this far after the last in common time starts a doubt only if the track is usually faster.
const STEPS_BEFORE_DOUBT: i64 = 4;
/// The longest step is forgotten by one part in this many with every frame.
const RHYTHM_DECAY: i64 = 16;

#[derive(Clone, Copy, Debug)]
struct Track {
    /// Last stamp, with roll-over undone.
    raw_ms: i64,
    /// Common time minus stamp.
    offset_ms: i64,
    /// Usual distance of stamps.
    step_ms: i64,
    /// The longest of the last steps that was not alone, slowly forgotten.
    rhythm_ms: i64,
    /// Frames so far.
    frames: u64,
    /// The last silence, and how many frames have come after it.
    silence: Option<(i64, u32)>,
    /// Arrival of the last frame.
    now_us: i64,
}

impl Track {
    /// Last frame in common time.
    fn common_ms(&self) -> i64 {
        self.raw_ms + self.offset_ms
    }

    /// Beyond this a step is a silence. Who has sent one frame has no rhythm yet.
    fn longest_step_ms(&self) -> i64 {
        if self.frames <= 1 {
            return LONGEST_RHYTHM_MS;
        }
        self.rhythm_ms.saturating_mul(RHYTHM_STEPS).clamp(LONGEST_STEP_MS, LONGEST_RHYTHM_MS)
    }

    /// Whether a silence is how this source speaks: it was silent as long just before.
    fn is_rhythm(&self, silence_ms: i64) -> bool {
        let is_again = self.silence.is_some_and(|(last_ms, frames)| {
            frames <= RHYTHM_FRAMES && (silence_ms - last_ms).abs() <= SILENCE_TOLERANCE_MS.max(last_ms / 4)
        });
        silence_ms <= LONGEST_RHYTHM_MS && is_again
    }
}

/// A frame whose stamp is doubted.
#[derive(Debug)]
struct Doubted<F> {
    raw_ms: i64,
    now_us: i64,
    frame: F,
}

/// What happened to the publisher's time before the frames that come with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// Time passed in which nothing was sent.
    Hole,
    /// The publisher's clock jumped; common time went on.
    Jump,
}

/// A frame in common time.
#[derive(Debug)]
pub(super) struct Timed<F> {
    pub(super) ms: i64,
    pub(super) now_us: i64,
    pub(super) frame: F,
}

/// Maps stamps of both tracks to common time.
#[derive(Debug)]
pub(super) struct Ticks<F> {
    tracks: [Option<Track>; 2],
    doubted: [Vec<Doubted<F>>; 2],
    /// How the stamps of each track move.
    motion: [Motion; 2],
    /// Tracks whose stamps stand still: their times come from here.
    pace: [Option<Pace>; 2],
    /// Frames whose stamp was replaced.
    pub(super) strays: u64,
    /// Jumps of the publisher's clock.
    pub(super) jumps: u64,
}

fn slot(kind: TrackKind) -> usize {
    match kind {
        TrackKind::Video => 0,
        TrackKind::Audio => 1,
    }
}

impl<F> Ticks<F> {
    pub(super) fn new() -> Self {
        Self {
            tracks: [None, None],
            doubted: [Vec::new(), Vec::new()],
            motion: [Motion::default(), Motion::default()],
            pace: [None, None],
            strays: 0,
            jumps: 0,
        }
    }

    /// Takes a stamped frame of `size` bytes; `out` gets it, and those doubted before it, once their time is known.
    ///
    /// `size_of` tells how many bytes a doubted frame holds.
    pub(super) fn push(
        &mut self,
        kind: TrackKind,
        stamp_ms: u32,
        now_us: i64,
        frame: F,
        size_of: impl Fn(&F) -> usize,
        mut out: impl FnMut(Change, Timed<F>),
    ) {
        let raw_ms = self.unrolled(kind, stamp_ms);
        if self.is_paced(kind, raw_ms, now_us) {
            for doubted in std::mem::take(&mut self.doubted[slot(kind)]) {
                self.strays += 1;
                self.push_paced(kind, doubted.raw_ms, doubted.now_us, doubted.frame, &mut out);
            }
            self.push_paced(kind, raw_ms, now_us, frame, &mut out);
            return;
        }
        if let Some(offset_ms) = self.offset_near(kind, raw_ms, now_us) {
            self.settle_doubted(kind, raw_ms, raw_ms + offset_ms, &mut out);
            self.accept(kind, raw_ms, offset_ms, now_us, Change::None);
            out(Change::None, Timed { ms: raw_ms + offset_ms, now_us, frame });
            return;
        }
        let Some(track) = self.tracks[slot(kind)] else { return };
        let doubted = &mut self.doubted[slot(kind)];
        // Frames that neither go on from one another nor return are garbage; the newest is what the next are held against.
        let longest_ms = track.longest_step_ms();
        let goes_on = doubted.last().is_none_or(|last| is_next(raw_ms - last.raw_ms, &track));
        doubted.push(Doubted { raw_ms, now_us, frame });
        let first = &doubted[0];
        let step_ms = first.raw_ms - track.raw_ms;
        // Whatever the node's clock does, common time goes on by a bounded amount.
        let arrival_ms = (first.now_us.saturating_sub(track.now_us) / 1000).min(LONGEST_SILENCE_MS);
        // Nothing was sent for as long as the stamps say: no doubt about that.
        let is_punctual = step_ms > LONGEST_STEP_MS
            && (arrival_ms - step_ms).abs() <= SILENCE_TOLERANCE_MS.max(step_ms / 4);
        let is_silence = is_punctual && step_ms > longest_ms;
        let needed = if (0..=longest_ms).contains(&step_ms) { 2 } else { JUMP_FRAMES };
        let held_bytes: usize = doubted.iter().map(|doubted| size_of(&doubted.frame)).sum();
        let is_believed = is_punctual || (goes_on && doubted.len() >= needed);
        if !is_believed && doubted.len() <= JUMP_FRAMES && held_bytes <= DOUBTED_BYTES {
            return;
        }
        let (change, offset_ms) =
            if (0..=longest_ms).contains(&step_ms) || (is_silence && track.is_rhythm(step_ms)) {
                (Change::None, track.offset_ms)
            } else if is_silence {
                (Change::Hole, track.offset_ms)
            } else if arrival_ms > longest_ms {
                (Change::Hole, track.common_ms() + arrival_ms - first.raw_ms)
            } else {
                let passed_ms = if arrival_ms > DOUBTED_STEP_MS { arrival_ms } else { track.step_ms };
                (Change::Jump, track.common_ms() + passed_ms - first.raw_ms)
            };
        self.jumps += u64::from(change == Change::Jump);
        let mut change = change;
        if is_silence && let Some(track) = &mut self.tracks[slot(kind)] {
            track.silence = Some((step_ms, 0));
        }
        let longest_ms = longest_ms.max(if is_silence && change == Change::None { step_ms } else { 0 });
        let mut least_ms = track.common_ms();
        for doubted in std::mem::take(&mut self.doubted[slot(kind)]) {
            // Garbage stamps among them cannot take common time anywhere.
            let ms = doubted.raw_ms + offset_ms;
            let ms = if change == Change::None && !(0..=longest_ms).contains(&(ms - least_ms)) {
                least_ms + track.step_ms
            } else {
                ms
            };
            least_ms = ms;
            self.accept(kind, doubted.raw_ms, ms - doubted.raw_ms, doubted.now_us, change);
            out(change, Timed { ms, now_us: doubted.now_us, frame: doubted.frame });
            change = Change::None;
        }
    }

    /// Gives what is still doubted, as strays at the end.
    pub(super) fn finish(&mut self, mut out: impl FnMut(TrackKind, Timed<F>)) {
        for kind in [TrackKind::Video, TrackKind::Audio] {
            let Some(track) = self.tracks[slot(kind)] else { continue };
            for (number, doubted) in std::mem::take(&mut self.doubted[slot(kind)]).into_iter().enumerate() {
                let ms = track.common_ms() + track.step_ms * (number as i64 + 1);
                out(kind, Timed { ms, now_us: doubted.now_us, frame: doubted.frame });
            }
        }
    }

    /// The last frame of a track, while its stamp is doubted.
    pub(super) fn last_doubted(&mut self, kind: TrackKind) -> Option<&mut F> {
        self.doubted[slot(kind)].last_mut().map(|doubted| &mut doubted.frame)
    }

    /// Frames held back.
    #[cfg(test)]
    pub(super) fn doubted(&self) -> usize {
        self.doubted.iter().map(Vec::len).sum()
    }

    /// Undoes the roll-over: the value nearest to the track's last stamp, or to the other track's where it has none.
    fn unrolled(&self, kind: TrackKind, stamp_ms: u32) -> i64 {
        let last = self.tracks[slot(kind)].or(self.tracks[1 - slot(kind)]).map(|track| track.raw_ms);
        match last {
            Some(last) => last + i64::from(stamp_ms.wrapping_sub(last as u32) as i32),
            None => i64::from(stamp_ms),
        }
    }

    /// The offset for a stamp that needs no doubt.
    fn offset_near(&self, kind: TrackKind, raw_ms: i64, now_us: i64) -> Option<i64> {
        let own = self.tracks[slot(kind)];
        let other = self.tracks[1 - slot(kind)];
        if let Some(own) = own
            && is_next(raw_ms - own.raw_ms, &own)
        {
            let strayed = other.filter(|other| {
                now_us.abs_diff(other.now_us) < FLOWING_US as u64
                    && (raw_ms + own.offset_ms).abs_diff(other.common_ms()) > FIRST_INTERLEAVE_MS as u64
            });
            // Tracks that have come apart, as only one of them jumped, are laid side by side again.
            return Some(strayed.map_or(own.offset_ms, |other| other.common_ms() - raw_ms));
        }
        let near_ms = if own.is_none() { FIRST_INTERLEAVE_MS } else { INTERLEAVE_MS };
        if let Some(other) = other
            && (-near_ms..=near_ms).contains(&(raw_ms - other.raw_ms))
        {
            return Some(other.offset_ms);
        }
        match (own, other) {
            (None, None) => Some(0),
            // A clock of its own: it starts where the other track is now.
            (None, Some(other)) => {
                let passed_ms = (now_us.saturating_sub(other.now_us) / 1000).clamp(0, LONGEST_STEP_MS);
                Some(other.common_ms() + passed_ms - raw_ms)
            }
            (Some(_), _) => None,
        }
    }

    fn accept(&mut self, kind: TrackKind, raw_ms: i64, offset_ms: i64, now_us: i64, change: Change) {
        let track = &mut self.tracks[slot(kind)];
        let (mut step_ms, mut rhythm_ms, mut frames, mut silence) = (40, 0, 0, None);
        if let Some(last) = *track {
            (step_ms, rhythm_ms, frames, silence) = (last.step_ms, last.rhythm_ms, last.frames, last.silence);
            let new_ms = raw_ms + offset_ms - last.common_ms();
            if change == Change::None && (1..=LONGEST_RHYTHM_MS).contains(&new_ms) {
                // One long step among short ones is an exception; two are not.
                let sure_ms = if frames > 1 { new_ms.min(step_ms) } else { new_ms };
                rhythm_ms = sure_ms.max(rhythm_ms - rhythm_ms / RHYTHM_DECAY);
                step_ms = new_ms;
            }
            silence = silence.map(|(silence_ms, frames)| (silence_ms, frames.saturating_add(1)));
        }
        *track = Some(Track { raw_ms, offset_ms, step_ms, rhythm_ms, frames: frames + 1, silence, now_us });
    }

    /// Whether this frame gets its time from its arrival.
    fn is_paced(&mut self, kind: TrackKind, raw_ms: i64, now_us: i64) -> bool {
        let pace = &mut self.pace[slot(kind)];
        let Some(track) = self.tracks[slot(kind)] else {
            self.motion[slot(kind)] = Motion::begin(raw_ms, now_us);
            return false;
        };
        let seen = self.motion[slot(kind)].see(raw_ms, track.common_ms(), now_us);
        match seen {
            Seen::Still(since) if pace.is_none() => *pace = Some(Pace::begin(since, now_us)),
            // The stamp's distance to what was given last is the offset from here on.
            Seen::Moving if pace.is_some() => *pace = None,
            _ => {}
        }
        pace.is_some()
    }

    fn push_paced(
        &mut self,
        kind: TrackKind,
        raw_ms: i64,
        now_us: i64,
        frame: F,
        out: &mut impl FnMut(Change, Timed<F>),
    ) {
        let (Some(track), Some(pace)) = (self.tracks[slot(kind)], &mut self.pace[slot(kind)]) else { return };
        let is_silence = now_us.saturating_sub(track.now_us) / 1000 > track.longest_step_ms();
        let ms = pace.place(now_us, is_silence).max(track.common_ms() + 1);
        let change = if is_silence { Change::Hole } else { Change::None };
        self.accept(kind, raw_ms, ms - raw_ms, now_us, change);
        out(change, Timed { ms, now_us, frame });
    }

    /// Since when a track's stamps stand still, if they do.
    pub(super) fn still(&self, kind: TrackKind) -> Option<Pace> {
        self.pace[slot(kind)]
    }

    /// Whether stamps may stand still: their frames had better wait until that is known.
    pub(super) fn may_stand_still(&self) -> bool {
        (0..2).any(|slot| self.pace[slot].is_none() && self.motion[slot].is_suspicious())
    }

    /// A track that has sent nothing for longer than this is silent.
    pub(super) fn longest_step_ms(&self, kind: TrackKind) -> i64 {
        self.tracks[slot(kind)].map_or(LONGEST_STEP_MS, |track| track.longest_step_ms())
    }

    /// Gives the frames doubted before one that is in its place.
    fn settle_doubted(
        &mut self,
        kind: TrackKind,
        back_raw_ms: i64,
        back_ms: i64,
        out: &mut impl FnMut(Change, Timed<F>),
    ) {
        if self.doubted[slot(kind)].is_empty() {
            return;
        }
        let Some(track) = self.tracks[slot(kind)] else { return };
        let doubted = std::mem::take(&mut self.doubted[slot(kind)]);
        let mut last_ms = track.common_ms();
        let mut parts = doubted.len() as i64 + 1;
        for doubted in doubted {
            // A step that was only large is confirmed by what follows; anything else gets the time between its neighbours.
            let told_ms = doubted.raw_ms + back_ms - back_raw_ms;
            let is_confirmed = told_ms > last_ms && told_ms <= back_ms;
            self.strays += u64::from(!is_confirmed);
            last_ms = if is_confirmed { told_ms } else { last_ms + (back_ms - last_ms) / parts };
            parts -= 1;
            out(Change::None, Timed { ms: last_ms, now_us: doubted.now_us, frame: doubted.frame });
        }
    }
}

/// Whether a step from one stamp to the next of a track needs no doubt.
fn is_next(step_ms: i64, track: &Track) -> bool {
    let usual_ms = track.step_ms.max(track.rhythm_ms / STEPS_BEFORE_DOUBT);
    let most = DOUBTED_STEP_MS.max(usual_ms.saturating_mul(STEPS_BEFORE_DOUBT)).min(track.longest_step_ms());
    (-DOUBTED_BACK_MS..=most).contains(&step_ms)
}

//! What belongs to a picture and comes in a later message than its beginning.
//!
//! A timeline holds the last picture of a track until it knows the next one, for the sake of its duration. So what belongs to it is
//! still in time, wherever the picture is held, and no picture waits for the chance that more of it comes.

use bytes::{Bytes, BytesMut};

use super::{Frame, State, Timeline};
use crate::TrackKind;

/// A picture that is told from all others that are held: by where its bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    address: usize,
    length: usize,
}

impl Mark {
    pub(super) fn of(data: &Bytes) -> Self {
        Self { address: data.as_ptr() as usize, length: data.len() }
    }
}

impl Timeline {
    /// Adds NAL units to the picture that was taken last ([`Framed::MoreOfPicture`](crate::framing::Framed)). `false` where that
    /// picture was left out, and this with it.
    pub fn more_of_picture(&mut self, more: &[u8]) -> bool {
        let Some(mark) = self.last_picture else { return false };
        let held = match (self.ticks.last_doubted(TrackKind::Video), &mut self.state) {
            (Some(Frame::Video { data, .. }), _) => Some(data),
            (_, State::Starting(starting)) => {
                starting.bytes += more.len();
                starting.frames.iter_mut().rev().find_map(|timed| match &mut timed.frame {
                    Frame::Video { data, .. } => Some(data),
                    Frame::Audio { .. } => None,
                })
            }
            (_, State::Running(session)) => session.held_picture(),
            (_, State::Waiting(_)) => None,
        };
        let Some(data) = held.filter(|data| Mark::of(data) == mark) else {
            return false;
        };
        append(data, more);
        self.last_picture = Some(Mark::of(data));
        true
    }
}

/// In amortised constant time a byte: a picture may come in hundreds of messages.
fn append(data: &mut Bytes, more: &[u8]) {
    let mut joined = match std::mem::take(data).try_into_mut() {
        Ok(own) => own,
        Err(shared) => {
            let mut own = BytesMut::with_capacity(2 * (shared.len() + more.len()));
            own.extend_from_slice(&shared);
            own
        }
    };
    joined.extend_from_slice(more);
    *data = joined.freeze();
}

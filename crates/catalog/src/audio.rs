//! When the audio of a channel was left out, and why: what a later viewer of a silent match is told.
//!
//! The last few stretches of a channel stand in one note, as lines of `from`, `until`, codec and words, with tabs between.

use uuid::Uuid;

use crate::Catalog;
use crate::error::CatalogError;

/// Stretches that are kept of a channel: a camera is set to another codec once, not daily.
pub const MAX_AUDIO_STRETCHES: usize = 32;

/// Longest words that are kept, in characters.
const MAX_CHARS: usize = 200;

/// A stretch without audio.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AudioLeftOut {
    /// Since when, UTC microseconds.
    pub from_us: i64,
    /// Until when; `None` while it goes on, or where nothing was published since.
    pub until_us: Option<i64>,
    /// Which codec came, where that was the reason.
    pub codec: Option<String>,
    /// Why, in words.
    pub detail: String,
}

impl Catalog {
    /// Why a channel has no audio in a range, where some of it was left out: of several reasons, the last.
    pub async fn audio_left_out(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Option<AudioLeftOut>, CatalogError> {
        let stretches = self.audio_stretches(channel_id).await?;
        let touches = |stretch: &AudioLeftOut| {
            stretch.from_us < to_us && stretch.until_us.is_none_or(|until_us| until_us > from_us)
        };
        Ok(stretches.into_iter().rev().find(touches))
    }

    /// Notes that from `at_us` on a channel's audio is left out, with codec and reason, or that no audio is left out any more.
    pub async fn note_audio(
        &self,
        channel_id: Uuid,
        at_us: i64,
        problem: Option<(Option<&str>, &str)>,
    ) -> Result<(), CatalogError> {
        let mut stretches = self.audio_stretches(channel_id).await?;
        let open = stretches.last_mut().filter(|stretch| stretch.until_us.is_none());
        if open.is_none() && problem.is_none() {
            return Ok(());
        }
        if let Some(open) = open {
            open.until_us = Some(at_us.max(open.from_us));
        }
        if let Some((codec, detail)) = problem {
            let (codec, detail) = (codec.map(clean), clean(detail));
            stretches.push(AudioLeftOut { from_us: at_us, until_us: None, codec, detail });
        }
        let surplus = stretches.len().saturating_sub(MAX_AUDIO_STRETCHES);
        let lines: Vec<String> = stretches[surplus..].iter().map(line).collect();
        self.put_note(&name(channel_id), &lines.join("\n")).await
    }

    async fn audio_stretches(&self, channel_id: Uuid) -> Result<Vec<AudioLeftOut>, CatalogError> {
        let note = self.note(&name(channel_id)).await?.unwrap_or_default();
        // What a later version wrote otherwise is passed over.
        Ok(note.lines().filter_map(parse).collect())
    }
}

fn name(channel_id: Uuid) -> String {
    format!("audio.{channel_id}")
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect()
}

fn line(stretch: &AudioLeftOut) -> String {
    let until = stretch.until_us.map(|until_us| until_us.to_string()).unwrap_or_default();
    let codec = stretch.codec.as_deref().unwrap_or_default();
    format!("{}\t{until}\t{codec}\t{}", stretch.from_us, stretch.detail)
}

fn parse(line: &str) -> Option<AudioLeftOut> {
    let mut parts = line.splitn(4, '\t');
    let from_us = parts.next()?.parse().ok()?;
    let until_us = match parts.next()? {
        "" => None,
        text => Some(text.parse().ok()?),
    };
    let codec = Some(parts.next()?.to_owned()).filter(|codec| !codec.is_empty());
    Some(AudioLeftOut { from_us, until_us, codec, detail: parts.next()?.to_owned() })
}

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
        Ok(stretches.into_iter().rev().find(|stretch| stretch.touches(from_us, to_us)))
    }

    /// Notes that from `at_us` on a channel's audio is left out, with codec and reason, or that no audio is left out any more.
    pub async fn note_audio(
        &self,
        channel_id: Uuid,
        at_us: i64,
        problem: Option<(Option<&str>, &str)>,
    ) -> Result<(), CatalogError> {
        let known = self.audio_stretches(channel_id).await?;
        match noted(known, at_us, problem) {
            Some(stretches) => {
                let lines: Vec<String> = stretches.iter().map(line).collect();
                self.put_note(&name(channel_id), &lines.join("\n")).await
            }
            None => Ok(()),
        }
    }

    async fn audio_stretches(&self, channel_id: Uuid) -> Result<Vec<AudioLeftOut>, CatalogError> {
        let note = self.note(&name(channel_id)).await?.unwrap_or_default();
        // What a later version wrote otherwise is passed over.
        Ok(note.lines().filter_map(parse).collect())
    }
}

impl AudioLeftOut {
    fn touches(&self, from_us: i64, to_us: i64) -> bool {
        self.from_us < to_us && self.until_us.is_none_or(|until_us| until_us > from_us)
    }
}

/// The stretches after what is said now; `None` where that is no news.
fn noted(
    mut stretches: Vec<AudioLeftOut>,
    at_us: i64,
    problem: Option<(Option<&str>, &str)>,
) -> Option<Vec<AudioLeftOut>> {
    let open = stretches.last_mut().filter(|stretch| stretch.until_us.is_none());
    if open.is_none() && problem.is_none() {
        return None;
    }
    if let Some(open) = open {
        open.until_us = Some(at_us.max(open.from_us));
    }
    if let Some((codec, detail)) = problem {
        let (codec, detail) = (codec.map(clean), clean(detail));
        stretches.push(AudioLeftOut { from_us: at_us, until_us: None, codec, detail });
    }
    let surplus = stretches.len().saturating_sub(MAX_AUDIO_STRETCHES);
    Some(stretches.split_off(surplus))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_end_with_the_next_word_and_only_the_last_are_kept() {
        assert_eq!(noted(Vec::new(), 5, None), None);
        let mut known = Vec::new();
        for at_us in 0..100 {
            known = noted(known, at_us * 10, Some((Some("MP3"), "MP3\taudio"))).unwrap();
        }
        known = noted(known, 995, None).unwrap();
        assert_eq!(noted(known.clone(), 999, None), None);
        assert_eq!(known.len(), MAX_AUDIO_STRETCHES);
        let last = known.last().unwrap();
        assert_eq!((last.from_us, last.until_us, last.detail.as_str()), (990, Some(995), "MP3 audio"));
        for (from_us, to_us, touches) in
            [(0, 990, false), (0, 991, true), (994, 2000, true), (995, 2000, false)]
        {
            assert_eq!(last.touches(from_us, to_us), touches, "{from_us} to {to_us}");
        }
    }

    #[test]
    fn a_line_is_read_as_written_and_what_is_none_is_passed_over() {
        for (until_us, codec) in [(None, None), (Some(7), Some("G.711 A-law".to_owned()))] {
            let stretch = AudioLeftOut { from_us: -3, until_us, codec, detail: "why it is".to_owned() };
            assert_eq!(parse(&line(&stretch)), Some(stretch));
        }
        for broken in ["", "x\t\t\tb", "1\ty\t\tb", "1\t2\t3"] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }
}

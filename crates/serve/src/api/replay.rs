//! The answer to "where is my match?".

use super::{AudioLeftOut, Instant};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a player gets of a match, or of any range.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The club.
    pub club: ClubName,
    /// The court.
    pub court: CourtName,
    /// The channel that is shown: the one asked for, else the court's best covered one; null if the court has none.
    #[schema(required)]
    pub channel_id: Option<Uuid>,
    /// First instant of the match.
    pub start: Instant,
    /// Instant just after the match.
    pub end: Instant,
    /// Whether the match is still being played: the playlist grows until `end`.
    pub is_live: bool,
    /// Instant up to which there is footage now; null if there is none.
    #[schema(required)]
    pub recorded_until: Option<Instant>,
    /// The recorded segments that the match touches, in order of time.
    pub fragments: Vec<ReplayFragment>,
    /// Share of the match that was recorded; of its elapsed part while it is being played.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub coverage: f64,
    /// What is missing of the elapsed part, in order of time.
    pub gaps: Vec<ReplayGap>,
    /// Why there is no sound in the match or a part of it, where the camera's sound was left out.
    pub audio_left_out: Option<AudioLeftOut>,
    /// HLS playlist of the match; null without footage.
    #[schema(required)]
    pub playlist_url: Option<String>,
    /// The match as one MP4 file; null without footage.
    #[schema(required)]
    pub download_url: Option<String>,
    /// A picture of the match; null without footage.
    #[schema(required)]
    pub thumbnail_url: Option<String>,
    /// When the addresses in this answer stop working: ask again for new ones.
    pub expires_at: Instant,
}

/// A club, as far as a replay needs it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClubName {
    /// Its part of every address.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// IANA time zone.
    #[schema(example = "Europe/Madrid")]
    pub zone: String,
}

/// A court, as far as a replay needs it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CourtName {
    /// Its part of every address.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

/// One recorded segment: up to 15 minutes, a plain MP4 file of its own.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayFragment {
    /// First instant of the segment; may lie before the match.
    pub start: Instant,
    /// Instant just after the segment; may lie after the match. While it grows: as far as it has got.
    pub end: Instant,
    /// Size of the segment now.
    pub size_bytes: u64,
    /// Signed address of its bytes. To somebody who was let in by a link or code, a segment that goes beyond what that opens gives only
    /// the byte ranges inside, which the playlist names.
    pub url: String,
}

/// A stretch that should have been recorded and was not.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayGap {
    /// First missing instant.
    pub start: Instant,
    /// First instant that is there again.
    pub end: Instant,
    /// Why it is missing.
    pub cause: GapCause,
}

/// Why footage is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapCause {
    /// The camera or its publisher stopped.
    Camera,
    /// The connection was lost.
    Network,
    /// The recorder's disk was full, failed or too slow.
    Disk,
    /// The recorder was not running.
    Process,
    /// The recorder's clock was set: that time never passed.
    Clock,
    /// Nothing is known.
    Unknown,
}

impl From<media::EndCause> for GapCause {
    fn from(cause: media::EndCause) -> Self {
        match cause {
            media::EndCause::Camera => Self::Camera,
            media::EndCause::Network => Self::Network,
            media::EndCause::Disk => Self::Disk,
            media::EndCause::Process => Self::Process,
            media::EndCause::Clock => Self::Clock,
            media::EndCause::Unknown => Self::Unknown,
        }
    }
}

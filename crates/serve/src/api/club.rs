//! Clubs, their courts and their hours.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// All clubs of this server.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClubList {
    /// The clubs, by name.
    pub clubs: Vec<ClubSummary>,
}

/// A club in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClubSummary {
    /// Its part of every address.
    #[schema(example = "padel-sur")]
    pub slug: String,
    /// Its name for people.
    #[schema(example = "Pádel Sur")]
    pub name: String,
}

/// A club as everyone may see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClubProfile {
    /// Its part of every address.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// IANA time zone. All local dates and times of this club are in it.
    #[schema(example = "Europe/Madrid")]
    pub zone: String,
    /// Length of a match in minutes, as of now.
    #[schema(example = 90, minimum = 1, maximum = 1440)]
    pub appointment_duration: u32,
    /// When the club is open, as of now; a weekday that is missing is closed.
    pub hours: Vec<OpeningHours>,
    /// Who may watch. What is not open to the one who asks has no address here, and the replay says what is needed.
    pub access: AccessPolicy,
    /// The courts, in the club's own order.
    pub courts: Vec<CourtSummary>,
}

/// Who may watch what a club records and broadcasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessPolicy {
    /// Everybody.
    Open,
    /// Whoever has a link from the club.
    Link,
    /// Whoever has the code of the match, or a link from the club.
    Code,
    /// Nobody but those who run the server.
    Closed,
}

impl From<access::Policy> for AccessPolicy {
    fn from(policy: access::Policy) -> Self {
        match policy {
            access::Policy::Open => Self::Open,
            access::Policy::Link => Self::Link,
            access::Policy::Code => Self::Code,
            access::Policy::Closed => Self::Closed,
        }
    }
}

/// One opening period of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpeningHours {
    /// The day on which the period begins.
    pub weekday: Weekday,
    /// Local opening time, `HH:MM`.
    #[schema(example = "08:00")]
    pub open: String,
    /// Local closing time, `HH:MM`, `24:00` for midnight; not after `open` when the period ends on the next day.
    #[schema(example = "24:00")]
    pub close: String,
}

/// A day of the week.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// A court of a club.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CourtSummary {
    /// Its part of every address.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Whether any of its channels is being recorded now.
    pub is_live: bool,
    /// Where its first live channel is watched, while one is and the one who asks may: an HLS playlist with parts.
    pub live_url: Option<String>,
    /// Its channels; a court may have several cameras.
    pub channels: Vec<ChannelSummary>,
}

/// A channel of a court.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelSummary {
    /// Its public name; never its stream key.
    pub id: Uuid,
    /// Its name for people.
    pub name: String,
    /// Whether it is being recorded now.
    pub is_live: bool,
    /// Where it is watched while it is live: an HLS playlist with parts, which old players read as well. With `window=SECONDS` it
    /// can be rewound; `.flv` in place of `/index.m3u8` is HTTP-FLV. Where the club wants addresses signed, or does not
    /// let everybody watch, this one expires.
    pub live_url: Option<String>,
    /// Why its sound is not being recorded, while it is live and its sound is left out.
    pub audio_left_out: Option<AudioLeftOut>,
}

/// Why sound is missing beside a picture that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudioLeftOut {
    /// The codec that the camera or encoder sends and that cannot be recorded, where that is the reason.
    #[schema(example = "G.711 A-law")]
    pub codec: Option<String>,
    /// The reason, in English.
    #[schema(example = "G.711 A-law audio cannot be carried: send AAC")]
    pub detail: String,
}

impl From<media::timeline::AudioProblem> for AudioLeftOut {
    fn from(problem: media::timeline::AudioProblem) -> Self {
        Self { codec: problem.codec().map(str::to_owned), detail: problem.to_string() }
    }
}

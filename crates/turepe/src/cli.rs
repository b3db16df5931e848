//! The command line: forms and help only. What a command does stands in the module of its name.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{LogFormat, Span};

/// Records every court continuously and plays any match from its first second to its last.
#[derive(Parser, Debug)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found, 4 exists already, \
                  5 refused by the server, 6 something was found that is not as it should be (verify, reindex, doctor; footage whose catalog is lost)."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug, Default)]
pub(crate) struct Options {
    /// Folder for the catalog and the footage [default: ./data; of demo: ./data/demo]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file [default: ./turepe.toml where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set one configuration key, for example --set archive.segment=5m; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Log for people (text) or machines (json)
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log: Option<LogFormat>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a node: receive cameras, record, and answer players
    Serve,
    /// Run a node with a demo club whose two cameras are publishers looping a clip
    Demo(Demo),
    /// Publish a file in real time, as a camera would
    Publish(Publish),
    /// Create and list clubs, courts and channels; works while a node runs
    #[command(subcommand)]
    Admin(Admin),
    /// Look at the database schema, bring it up to date, or copy a catalog into another database
    Migrate(Migrate),
    /// Compare the catalog with the local store and the bucket; works while a node runs
    Verify(Verify),
    /// Rebuild the catalog's recordings from the bucket and from the data folder, quarantine included
    Reindex {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Look whether this machine, its settings and its bucket are as a node needs them
    Doctor(Doctor),
    /// Ask the running node something as its operator, with the token of its data folder: /metrics, /api/node/ledger, /api/v1/clients
    Ask(Ask),
    /// Print the configuration in force, secrets masked
    Config {
        /// Print the documented defaults instead
        #[arg(long)]
        default: bool,
        /// As JSON
        #[arg(long, conflicts_with = "default")]
        json: bool,
    },
    /// Print a configuration of SRS 6 for a node that stands behind it, as the configuration in force has it
    SrsConf {
        /// Only the values, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the OpenAPI document of the HTTP API
    Openapi {
        /// The document always is JSON; accepted for uniformity
        #[arg(long)]
        json: bool,
    },
}

/// `turepe ask`
#[derive(Args, Debug)]
pub(crate) struct Ask {
    /// Path, for example /metrics
    #[arg(value_parser = path)]
    pub(crate) path: String,
    /// Delete what is at it: /api/v1/clients/ID ends that publisher or player
    #[arg(long)]
    pub(crate) delete: bool,
}

/// `turepe verify`
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Read every byte of every copy, and check each fragment; from a bucket, that is a download
    #[arg(long)]
    pub(crate) deep: bool,
    /// Only this club
    #[arg(long, value_name = "SLUG")]
    pub(crate) club: Option<String>,
    /// Mend what can be mended without losing anything: upload again what the bucket has lost, count on the bucket's copy
    /// alone where the local one is lost
    #[arg(long)]
    pub(crate) repair: bool,
    /// Remove files and objects that the catalog does not know, of channels that it does know; recordings that it never heard of
    /// are left to reindex
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `turepe doctor`
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Put right what may be put right: the bucket's rules for browsers and for what is left behind
    #[arg(long)]
    pub(crate) fix: bool,
    /// Web page that plays from the bucket, like `https://video.club.example`; may be repeated, * for all
    /// [default: that of http.public_url]
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub(crate) origin: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `turepe demo`
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Clip to loop instead of the built-in one: an MP4 or FLV file with H.264 or HEVC, and AAC
    #[arg(long, value_name = "FILE")]
    pub(crate) clip: Option<PathBuf>,
}

/// `turepe migrate`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    pub(crate) schema: Option<MigrateCommand>,
    /// Database to copy from, for example sqlite:data/turepe.db; stop the nodes that write to it first. - reads the next line of
    /// standard input, where no list of processes shows a password
    #[arg(long, value_name = "URL", requires = "to")]
    pub(crate) from: Option<String>,
    /// Empty database to copy everything into, or -
    #[arg(long, value_name = "URL", requires = "from")]
    pub(crate) to: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum MigrateCommand {
    /// Show which migrations the configured database has and which are pending; changes nothing
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give up the secrets of the catalog whose key is lost: relay targets of single channels go, links that were handed out end.
    /// Stop the nodes first
    ForgetSecrets {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Apply pending migrations, as a starting node does
    Up {
        /// Print the SQL instead of running it
        #[arg(long)]
        dry_run: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `turepe publish`
#[derive(Args, Debug)]
pub(crate) struct Publish {
    /// MP4 or FLV file with H.264 or HEVC, and AAC
    pub(crate) file: PathBuf,
    /// `rtmp://host[:port]/app/KEY`; with --keys-from, where no list of processes shows the key: `rtmp://host[:port]/app`
    pub(crate) url: String,
    /// Start over at the end, without a jump in time, and reconnect when the connection is lost
    #[arg(long = "loop")]
    pub(crate) repeat: bool,
    /// Publish this many streams at once, each with a key of its own
    #[arg(long, value_name = "N", requires = "keys_from", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) streams: Option<u32>,
    /// File with one stream key a line; - reads them from standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_from: Option<PathBuf>,
    /// Stop after this time, for example 90s
    #[arg(long, value_name = "TIME")]
    pub(crate) duration: Option<Span>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// End when the parent process ends
    #[arg(long, hide = true)]
    pub(crate) with_parent: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Admin {
    /// Clubs
    #[command(subcommand)]
    Club(ClubCommand),
    /// Courts of a club
    #[command(subcommand)]
    Court(CourtCommand),
    /// Channels: the cameras of a court
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Links that open a club's matches for whoever has them
    #[command(subcommand)]
    Link(LinkCommand),
    /// Codes that open one match each
    #[command(subcommand)]
    Code(CodeCommand),
    /// Servers that single channels are relayed to
    #[command(subcommand)]
    Relay(RelayCommand),
    /// Ranges of footage that outlive retention and a full disk
    #[command(subcommand)]
    Protect(ProtectCommand),
    /// What is past its retention and waits for a person, because it is so much at once or the clock is not believed
    Retention {
        /// Let go of what waits, as it is shown; works while a node runs
        #[arg(long)]
        confirm: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Nodes that share the database, and what each has on its disk
    #[command(subcommand)]
    Node(NodeCommand),
    /// What was deleted, when and why; the last first
    Deletions {
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        limit: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum NodeCommand {
    /// List the nodes that have started with this database, and what each has on its disk
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take over what a node held that is gone, as far as its files are in this data folder: a folder that was moved to another
    /// machine, or put back from a backup
    Adopt {
        /// Id of the node that is gone
        id: uuid::Uuid,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum LinkCommand {
    /// Make a link and print it, this once; without a match, a range or --live it opens every match and live
    Create {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Slug of the court [default: all courts]
        #[arg(long)]
        court: Option<String>,
        /// A match: its date, 2026-11-21
        #[arg(long, requires = "time", requires = "court", conflicts_with_all = ["from", "live"])]
        date: Option<jiff::civil::Date>,
        /// A match: when it begins, 10:00
        #[arg(long, requires = "date")]
        time: Option<jiff::civil::Time>,
        /// A match: which of two equal times, on the day the clocks go back: +01:00
        #[arg(long, requires = "time", allow_hyphen_values = true)]
        offset: Option<String>,
        /// A range: its first instant, RFC 3339 with an offset
        #[arg(long, value_name = "INSTANT", requires = "to", conflicts_with = "live")]
        from: Option<jiff::Timestamp>,
        /// A range: the instant just after it
        #[arg(long, value_name = "INSTANT", requires = "from")]
        to: Option<jiff::Timestamp>,
        /// What is broadcast, from now on
        #[arg(long)]
        live: bool,
        /// For how long
        #[arg(long = "for", value_name = "TIME", default_value = "7d")]
        life: Span,
        /// For those who list it
        #[arg(long)]
        note: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List a club's links, newest first, without their secrets
    List {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a link back: it opens nothing any more, and what was opened with it ends
    Revoke {
        /// Id of the link
        id: uuid::Uuid,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum CodeCommand {
    /// Make the codes of a day's matches, or of one, and print them, this once
    Create {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Slug of the court
        #[arg(long)]
        court: String,
        /// Date, 2026-11-21
        #[arg(long)]
        date: jiff::civil::Date,
        /// Only the match that begins then, 10:00
        #[arg(long)]
        time: Option<jiff::civil::Time>,
        /// Which of two equal times, on the day the clocks go back: +01:00
        #[arg(long, requires = "time", allow_hyphen_values = true)]
        offset: Option<String>,
        /// Give those another code that have one; the old one opens nothing any more
        #[arg(long)]
        renew: bool,
        /// For how long from now [default: 30 days after the match]
        #[arg(long = "for", value_name = "TIME")]
        life: Option<Span>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List which matches of a day have codes
    List {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Slug of the court
        #[arg(long)]
        court: String,
        /// Date, 2026-11-21
        #[arg(long)]
        date: jiff::civil::Date,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a code back: it opens nothing any more, and what was opened with it ends
    Revoke {
        /// Id of the code
        id: uuid::Uuid,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum RelayCommand {
    /// Relay a channel to one more server while it is live
    Add {
        /// Id of the channel
        #[arg(long, value_name = "ID")]
        channel: uuid::Uuid,
        /// rtmp://host:port/app/key or rtmps://…, as the target gave it; - reads it from standard input, where no list of
        /// processes shows it
        #[arg(long)]
        url: String,
        /// Name as people read it
        #[arg(long)]
        name: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the targets of single channels, without their keys
    List {
        /// Only of this channel
        #[arg(long, value_name = "ID")]
        channel: Option<uuid::Uuid>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Relay a channel no longer to a target
    Remove {
        /// Id of the target
        id: uuid::Uuid,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl std::fmt::Debug for RelayCommand {
    /// Without the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RelayCommand")
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum ProtectCommand {
    /// Protect what a court's cameras recorded in a range
    Add {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Slug of the court
        #[arg(long)]
        court: String,
        /// First instant, RFC 3339 with an offset: 2026-11-21T10:00:00+01:00
        #[arg(long, value_name = "INSTANT")]
        from: jiff::Timestamp,
        /// Instant just after the range
        #[arg(long, value_name = "INSTANT")]
        to: jiff::Timestamp,
        /// Why it stays
        #[arg(long)]
        reason: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the protected ranges of a court
    List {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Slug of the court
        #[arg(long)]
        court: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End a protection
    Remove {
        /// Id of the protected range
        id: uuid::Uuid,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum ClubCommand {
    /// Create a club
    Add {
        /// Name in addresses: lower-case letters, digits and hyphens
        #[arg(long)]
        slug: String,
        /// Name as people read it
        #[arg(long)]
        name: String,
        /// IANA time zone, for example America/Argentina/Buenos_Aires
        #[arg(long)]
        zone: String,
        #[command(flatten)]
        schedule: Schedule,
        /// Who may watch: everybody, whoever has a link, or whoever has the code of the match [default: access.new_clubs]
        #[arg(long, value_name = "open|link|code", value_parser = access::Policy::of_club)]
        access: Option<access::Policy>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the clubs
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how long a club's footage is kept; without it, `[retention] days` of the configuration says
    SetRetention {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Days, 1 to 36525; older footage is deleted from disk and bucket
        #[arg(long, value_name = "DAYS", required_unless_present = "default", value_parser = clap::value_parser!(u32).range(1..=36_525))]
        days: Option<u32>,
        /// As the configuration says
        #[arg(long, conflicts_with = "days")]
        default: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change who may watch
    #[command(visible_alias = "set-access")]
    Set {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Replays, live, pictures and downloads. open: everybody; link: whoever has a link from the club; code: whoever has the code of
        /// the match, or a link
        #[arg(long, value_name = "open|link|code", required_unless_present = "live", value_parser = access::Policy::of_club)]
        access: Option<access::Policy>,
        /// Which addresses work live. open: that of the channel, for ever; signed: only those that expire. Where not everybody may watch,
        /// they always do
        #[arg(long, value_name = "open|signed")]
        live: Option<catalog::LiveAccess>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a club into another time zone; its hours are read there, those of past start times too
    SetZone {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// IANA time zone, for example America/Argentina/Buenos_Aires
        #[arg(long)]
        zone: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change opening hours or the length of a match from now on; past start times stay
    SetSchedule {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// New opening hours
        #[arg(long, value_name = "HOURS")]
        open: Option<String>,
        /// New length of a match in minutes, 1 to 1440
        #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=1440))]
        appointment_duration: Option<u32>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// When a club is open and how long a match is.
#[derive(Args, Debug)]
pub(crate) struct Schedule {
    /// Opening hours: 08:00-24:00, or "mon-fri 08:00-23:00; sat,sun 09:00-02:00"
    #[arg(long, value_name = "HOURS")]
    pub(crate) open: String,
    /// Length of a match in minutes, 1 to 1440
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) appointment_duration: u32,
}

#[derive(Subcommand, Debug)]
pub(crate) enum CourtCommand {
    /// Create a court
    Add {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Name in addresses: lower-case letters, digits and hyphens
        #[arg(long)]
        slug: String,
        /// Name as people read it
        #[arg(long)]
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the courts of a club
    List {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum ChannelCommand {
    /// Create a channel and print its stream key, this once
    Add {
        /// Slug of the club
        #[arg(long)]
        club: String,
        /// Slug of the court
        #[arg(long)]
        court: String,
        /// Name as people read it [default: the court's name]
        #[arg(long)]
        name: Option<String>,
        /// The camera, OBS or ffmpeg publishes to this node
        #[arg(long, required = true)]
        push: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List channels
    List {
        /// Only of this club
        #[arg(long)]
        club: Option<String>,
        /// Only of this court
        #[arg(long, requires = "club")]
        court: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Replace a channel's stream key and print the new one, this once; the old one stops working
    NewKey {
        /// Id of the channel
        id: uuid::Uuid,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("is not section.key=value, like archive.segment=5m".to_owned()),
    }
}

/// A path of the node's own, as it can stand in a request.
fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("is no path, like /api/node/ledger".to_owned())
    }
}

/// `*`, or scheme, host and port of a page.
fn origin(text: &str) -> Result<String, String> {
    if text == "*" { Ok(text.to_owned()) } else { crate::config::origin_of(text) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_forms_scripts_rely_on_are_accepted() {
        Cli::command().debug_assert();
        for line in [
            "turepe serve --data d --config c.toml",
            "turepe demo --data d --clip c.mp4",
            "turepe admin club add --slug s --name n --zone Europe/Madrid --open 08:00-24:00 --appointment-duration 90 --json",
            "turepe admin club set --club s --live signed",
            "turepe admin club set --club s --access code",
            "turepe admin club set-access --club s --access link --json",
            "turepe admin link create --club s",
            "turepe admin link create --club s --court c --date 2026-11-21 --time 10:00 --for 30d --note Ana --json",
            "turepe admin link create --club s --from 2026-11-21T10:00:00+01:00 --to 2026-11-21T11:00:00+01:00",
            "turepe admin link create --club s --court c --live",
            "turepe admin link list --club s --json",
            "turepe admin link revoke 00000000-0000-7000-8000-000000000000",
            "turepe admin code create --club s --court c --date 2026-11-21 --json",
            "turepe admin code create --club s --court c --date 2026-10-25 --time 02:30 --offset -01:00 --renew",
            "turepe admin code list --club s --court c --date 2026-11-21",
            "turepe admin code revoke 00000000-0000-7000-8000-000000000000",
            "turepe admin court add --club s --slug c --name n --data d",
            "turepe admin channel add --club s --court c --push --json",
            "turepe admin club set-retention --club s --days 30",
            "turepe admin protect add --club s --court c --from 2026-11-21T10:00:00+01:00 --to 2026-11-21T11:00:00+01:00 --reason final",
            "turepe admin deletions --json",
            "turepe admin retention --json",
            "turepe admin retention --confirm",
            "turepe publish f.mp4 rtmp://h/live/key --loop",
            "turepe publish f.mp4 rtmp://h/live --streams 50 --keys-from k --duration 90s",
            "turepe migrate status --json",
            "turepe migrate up --dry-run",
            "turepe migrate forget-secrets --json",
            "turepe migrate --from sqlite:a.db --to postgres://u:p@h/db --json",
            "turepe verify --deep --club s --json",
            "turepe verify --repair --remove-orphans",
            "turepe reindex --dry-run --json",
            "turepe doctor --fix --origin https://video.club.example --origin * --json",
            "turepe admin club set-zone --club s --zone Europe/Madrid",
            "turepe config --default",
            "turepe openapi",
            "turepe ask /metrics",
            "turepe ask --delete /api/v1/clients/7",
            "turepe srs-conf --json",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
        for line in [
            "turepe admin club add --slug s --name n --zone Z --open 08:00-24:00 --appointment-duration 0",
            "turepe admin club set --club s --live secret",
            "turepe admin club set --club s",
            "turepe admin club set --club s --access closed",
            "turepe admin link create --club s --date 2026-11-21 --time 10:00",
            "turepe admin link create --club s --court c --date 2026-11-21",
            "turepe admin link create --club s --live --from 2026-11-21T10:00:00Z --to 2026-11-21T11:00:00Z",
            "turepe admin channel add --club s --court c",
            "turepe admin club set-retention --club s",
            "turepe admin club set-retention --club s --days 0",
            "turepe publish f.mp4 rtmp://h/live --streams 2",
            "turepe serve --set nonsense",
            "turepe migrate --from sqlite:a.db",
            "turepe migrate",
            "turepe ask metrics",
            "turepe doctor --origin club.example",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}

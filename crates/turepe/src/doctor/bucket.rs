//! The bucket, as `archive` looks at it, and its rules for the pages that play from it.

use archive::PlayFrom;
use archive::bucket::{BucketError, Checked, Fixed, S3Bucket, Verdict};

use super::{Finding, Patient};
use crate::config::origin_of;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let store = &patient.config.store;
    let bucket = match store.s3_bucket() {
        Some(Ok(bucket)) => bucket,
        Some(Err(error)) => return vec![Finding::bad(error.to_string(), "see docs/buckets.md")],
        None if store.is_in_memory() => {
            let says = "`store.url` is memory: what it has is lost when the node ends";
            return vec![Finding::warning(says, "set `store.url` to a folder or a bucket")];
        }
        None => {
            let says = format!("there is none: footage stays in {}", store.folder.display());
            return vec![Finding::good(says)];
        }
    };
    let origins = origins(patient);
    let mut findings = Vec::new();
    if origins.is_empty() && store.play_from == PlayFrom::Bucket {
        findings.push(Finding::warning(
            "browsers play straight from it, and nobody has said at which address their pages are: whether it lets \
             them was not looked at",
            "set `http.public_url`, or: turepe doctor --fix --origin https://video.club.example",
        ));
    }
    if patient.arguments.fix {
        fix(&bucket, &origins, &mut findings).await;
    }
    for found in bucket.check(&origins).await {
        let fix = remedy(found.checked, &patient.arguments.origin);
        findings.push(Finding {
            verdict: found.verdict,
            says: found.says,
            fix: (found.verdict != Verdict::Good).then_some(fix),
        });
    }
    findings
}

/// Where the pages are that play from the bucket.
fn origins(patient: &Patient<'_>) -> Vec<String> {
    if patient.config.store.play_from == PlayFrom::Node {
        return Vec::new();
    }
    if !patient.arguments.origin.is_empty() {
        return patient.arguments.origin.clone();
    }
    let public = patient.config.http.public_url.as_deref();
    public.and_then(|url| origin_of(url).ok()).into_iter().collect()
}

async fn fix(bucket: &S3Bucket, origins: &[String], findings: &mut Vec<Finding>) {
    let mut tell = |what: &str, fixed: Result<Fixed, BucketError>| match fixed {
        Ok(Fixed::WasRight) => {}
        Ok(Fixed::Changed) => {
            findings.push(Finding::good(format!("{what} are set now; others are as they were")))
        }
        Err(error) => findings.push(Finding::warning(
            format!("{what} could not be set: {error}"),
            "give the key the right to, or set them by hand: docs/buckets.md",
        )),
    };
    if !origins.is_empty() {
        tell("the rules that let browsers play", bucket.fix_cors(origins).await);
    }
    tell("the rules that clean up what is left behind", bucket.fix_lifecycle().await);
}

/// What mends what was found.
fn remedy(checked: Checked, origins: &[String]) -> String {
    match checked {
        Checked::Clock => "timedatectl set-ntp true".to_owned(),
        Checked::Cors | Checked::Lifecycle => {
            let origins: String = origins.iter().map(|origin| format!(" --origin '{origin}'")).collect();
            format!("turepe doctor --fix{origins}")
        }
        Checked::Reachable => {
            "check `store.url`, `store.key_id` and `store.secret_key`: docs/buckets.md".to_owned()
        }
        _ => "give the key the capabilities that docs/buckets.md names".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use crate::config::{Config, Sources};

    fn origins_with(flags: &[(&str, &str)], origin: &[&str]) -> Vec<String> {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = Config::read(&Sources { flags, ..Sources::default() }).expect("valid");
        let origin = origin.iter().map(|origin| (*origin).to_owned()).collect();
        let arguments = cli::Doctor { fix: false, origin, json: false };
        origins(&Patient { config: &config, arguments: &arguments, is_running: false })
    }

    #[test]
    fn pages_are_those_of_the_website_unless_somebody_says_otherwise() {
        let public = ("http.public_url", "https://Club.example/video/");
        assert_eq!(origins_with(&[], &[]), [""; 0], "all pages only when somebody says so");
        assert_eq!(origins_with(&[public], &[]), ["https://club.example"]);
        assert_eq!(origins_with(&[public], &["*"]), ["*"]);
        assert_eq!(origins_with(&[public, ("store.play_from", "node")], &["*"]), [""; 0]);
        assert_eq!(
            remedy(Checked::Cors, &["*".to_owned()]),
            "turepe doctor --fix --origin '*'",
            "what it says can be entered as it is"
        );
    }
}

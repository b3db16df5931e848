//! The certificate of the ports that speak TLS.

use world::{Clock as _, SystemClock, SystemDisk};

use super::{Finding, Patient};
use crate::config;
use crate::tls::{Certificate, EXPIRES_SOON_US, TlsError};

const DAY_US: i64 = 86_400 * 1_000_000;

/// What renews it where certbot made it. A running node takes the new files by itself.
const RENEW: &str =
    "sudo certbot renew   (or whatever else made it; a running node takes new files by itself)";

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Finding> {
    patient.config.tls.iter().map(|files| judge(files, SystemClock.now_us())).collect()
}

fn judge(files: &config::Tls, now_us: i64) -> Finding {
    let certificate = match Certificate::read(&SystemDisk, files, now_us) {
        Ok(certificate) => certificate,
        Err(error) => {
            let fix = match error {
                TlsError::Expired { .. } => RENEW,
                TlsError::Early { .. } => "timedatectl set-ntp true",
                _ => "name the right files, readable for the node's user: see \"TLS\" in docs/operations.md",
            };
            return Finding::bad(error.to_string(), fix);
        }
    };
    let not_after_us = certificate.validity.not_after_us;
    let left_us = not_after_us.saturating_sub(now_us);
    let says = format!(
        "the certificate in {} ends in {} days, on {}",
        files.certificate.display(),
        left_us / DAY_US,
        crate::admin::instant(not_after_us)
    );
    if left_us <= EXPIRES_SOON_US { Finding::warning(says, RENEW) } else { Finding::good(says) }
}

#[cfg(test)]
mod tests {
    use archive::bucket::Verdict;
    use testing::certificates::Authority;

    use super::*;

    #[test]
    fn the_end_is_told_and_warned_of_before_it_comes() {
        let issued = Authority::new().issue_until(2027);
        let folder = tempfile::tempdir().expect("a folder");
        let disk: &dyn world::Disk = &SystemDisk;
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            world::write_whole(disk, &path, text.as_bytes()).expect("written");
            path
        };
        let files = config::Tls {
            certificate: file("full.pem", &issued.certificate),
            key: file("key.pem", &issued.key),
        };
        // 2027-01-01T00:00:00Z
        let end_us = 1_798_761_600_000_000;
        for (days, verdict, says) in [
            (40, Verdict::Good, "ends in 40 days, on 2027-01-01"),
            (15, Verdict::Good, "15 days"),
            (14, Verdict::Warning, "14 days"),
            (0, Verdict::Warning, "0 days"),
            (-1, Verdict::Bad, "has expired on 2027-01-01"),
        ] {
            let finding = judge(&files, end_us - days * DAY_US);
            assert_eq!(finding.verdict, verdict, "{}", finding.says);
            assert!(finding.says.contains(says), "{}", finding.says);
            assert_eq!(finding.fix.is_some(), verdict != Verdict::Good);
        }
    }
}

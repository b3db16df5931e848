//! Whether a bucket is set up as it should be, and putting it right.

use s3s::dto::{CORSRule, LifecycleRule};
use turepe_archive::bucket::{Bucket, Checked, Finding, Fixed, TimeOuts, Verdict};

use crate::{
    fault_proxy::{FaultProxy, S3Call, WireFault},
    s3::{TestS3, bucket_at},
};

fn verdicts(findings: &[Finding]) -> Vec<(Checked, Verdict)> {
    findings.iter().map(|finding| (finding.checked, finding.verdict)).collect()
}

fn origins() -> Vec<String> {
    vec!["https://turepe.example".into(), "https://club.example:8443".into()]
}

/// Everything that is looked at, but for the rules.
const WORKS: [(Checked, Verdict); 9] = [
    (Checked::Clock, Verdict::Good),
    (Checked::Reachable, Verdict::Good),
    (Checked::List, Verdict::Good),
    (Checked::Put, Verdict::Good),
    (Checked::Get, Verdict::Good),
    (Checked::PresignedGet, Verdict::Good),
    (Checked::Delete, Verdict::Good),
    (Checked::Multipart, Verdict::Good),
    (Checked::ListUploads, Verdict::Good),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_bucket_is_looked_at_and_put_right() {
    let service = TestS3::start().await;
    service.keep_versions();
    let foreign = CORSRule {
        id: Some("shop".into()),
        allowed_origins: vec!["https://shop.example".into()],
        allowed_methods: vec!["PUT".into()],
        ..CORSRule::default()
    };
    service.set_cors(vec![foreign.clone()]);
    let bucket = bucket_at(service.address, "tu-repe", "", TimeOuts::default());

    let before = bucket.check(&origins()).await;
    let rules = [(Checked::Cors, Verdict::Bad), (Checked::Lifecycle, Verdict::Warning)];
    assert_eq!(verdicts(&before), [WORKS.as_slice(), &rules].concat(), "{before:#?}");
    assert!(before.iter().any(|finding| finding.says.contains("https://club.example:8443")));

    assert_eq!(bucket.fix_cors(&origins()).await.unwrap(), Fixed::Changed);
    assert_eq!(bucket.fix_lifecycle().await.unwrap(), Fixed::Changed);
    let after = bucket.check(&origins()).await;
    let rules = [(Checked::Cors, Verdict::Good), (Checked::Lifecycle, Verdict::Good)];
    assert_eq!(verdicts(&after), [WORKS.as_slice(), &rules].concat(), "{after:#?}");
    assert_eq!(bucket.fix_cors(&origins()).await.unwrap(), Fixed::WasRight);
    assert_eq!(bucket.fix_lifecycle().await.unwrap(), Fixed::WasRight);

    // A second node in the same bucket has its own rule, and the others are as they were.
    let other = bucket_at(service.address, "other", "", TimeOuts::default());
    assert_eq!(other.fix_lifecycle().await.unwrap(), Fixed::Changed);
    assert_eq!(bucket.fix_lifecycle().await.unwrap(), Fixed::WasRight);
    let cors = service.cors().unwrap().cors_rules;
    assert_eq!(cors.len(), 2);
    assert_eq!(cors[0], foreign);
    let lifecycle = service.lifecycle().unwrap().rules;
    let prefix = |rule: &LifecycleRule| rule.filter.as_ref().and_then(|filter| filter.prefix.clone());
    assert_eq!(
        lifecycle.iter().map(prefix).collect::<Vec<_>>(),
        [Some("tu-repe/".into()), Some("other/".into())]
    );

    // The probes are gone.
    assert_eq!(bucket.list("", None, 9).await.unwrap(), []);
    assert_eq!((service.versions(""), service.pending_uploads()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_rules_is_usable() {
    let service = TestS3::start().await;
    service.be_bare();
    let bucket = bucket_at(service.address, "tu-repe", "", TimeOuts::default());
    let findings = bucket.check(&origins()).await;
    let mut wanted = WORKS.to_vec();
    wanted[8] = (Checked::ListUploads, Verdict::Warning);
    wanted.extend([(Checked::Cors, Verdict::Warning), (Checked::Lifecycle, Verdict::Warning)]);
    assert_eq!(verdicts(&findings), wanted, "{findings:#?}");
    assert!(bucket.fix_cors(&origins()).await.is_err());
    assert!(bucket.fix_lifecycle().await.is_err());
    assert_eq!(service.pending_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_right_is_told_which() {
    let service = TestS3::start().await;
    let proxy = FaultProxy::start(service.address).await;
    let bucket = bucket_at(proxy.address, "tu-repe", "", TimeOuts::default());
    for (call, checked) in [
        (S3Call::Put, Checked::Put),
        (S3Call::Get, Checked::Get),
        (S3Call::Delete, Checked::Delete),
        (S3Call::CreateUpload, Checked::Multipart),
        (S3Call::List, Checked::List),
    ] {
        proxy.inject(call, WireFault::CapExceeded, 1);
        let findings = bucket.check(&[]).await;
        let bad: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).collect();
        assert_eq!(bad.len(), 1, "{call:?}: {findings:#?}");
        assert_eq!(bad[0].checked, checked);
        assert!(
            bad[0].says.contains("cap exceeded") && bad[0].to_string().starts_with("FAILED"),
            "{}",
            bad[0]
        );
        proxy.heal();
    }
    // What uploading can do without is no reason to say that it fails.
    for (call, fault) in [
        (S3Call::ListUploads, WireFault::CapExceeded),
        (S3Call::ListParts, WireFault::CapExceeded),
        (S3Call::ListUploads, WireFault::InternalError),
        (S3Call::ListParts, WireFault::NoSuchUpload),
    ] {
        proxy.inject(call, fault, 1);
        let found = verdicts(&bucket.check(&[]).await);
        let of = |checked| found.iter().find(|(of, _)| *of == checked).map(|(_, verdict)| *verdict);
        assert_eq!(of(Checked::Multipart), Some(Verdict::Good), "{call:?} {fault:?}: {found:#?}");
        assert_eq!(of(Checked::ListUploads), Some(Verdict::Warning), "{call:?} {fault:?}: {found:#?}");
        proxy.heal();
    }
    // And the other way round.
    for call in [S3Call::UploadPart, S3Call::Abort] {
        proxy.inject(call, WireFault::CapExceeded, 1);
        let found = verdicts(&bucket.check(&[]).await);
        assert!(found.contains(&(Checked::Multipart, Verdict::Bad)), "{call:?}: {found:#?}");
        assert!(!found.contains(&(Checked::ListUploads, Verdict::Warning)), "{call:?}: {found:#?}");
        proxy.heal();
    }
    proxy.set_away(true);
    let findings = bucket.check(&[]).await;
    assert_eq!(verdicts(&findings), [(Checked::Reachable, Verdict::Bad)]);
}

//! HTTPS, as every bucket outside is reached: with a certificate that the machine trusts, and with one that it does not.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use turepe_archive::bucket::{Bucket, BucketError, S3Bucket, StoreUrl, parse_store_url};

use crate::s3::{BUCKET, TestS3, credentials};

/// Puts TLS before the service, with a certificate of nobody's but this test.
struct Tls {
    address: SocketAddr,
    certificate_pem: String,
    _tasks: JoinSet<()>,
}

impl Tls {
    async fn start(service: SocketAddr) -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), service));
        Self { address, certificate_pem: own.cert.pem(), _tasks: tasks }
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, service: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let tls = tls.clone();
        connections.spawn(async move {
            // A client that does not trust us goes away: that is the other half of the test.
            let Ok(mut client) = tls.accept(socket).await else { return };
            let mut service = TcpStream::connect(service).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
        });
    }
}

/// In a process of its own, since what a machine trusts is read from its environment.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_to_the_suite_by_https_where_the_certificate_is_trusted() {
    let service = TestS3::start().await;
    let tls = Tls::start(service.address).await;
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    tokio::fs::write(&trusted, &tls.certificate_pem).await.unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "outside::keeps_to_the_suite_on_the_service_that_the_environment_names"])
        .env("SSL_CERT_FILE", trusted)
        .env("TUREPE_TEST_S3_ENDPOINT", format!("https://{}", tls.address))
        .env("TUREPE_TEST_S3_BUCKET", BUCKET)
        .env("TUREPE_TEST_S3_REGION", "us-east-005")
        .env("TUREPE_TEST_S3_KEY_ID", credentials().key_id)
        .env("TUREPE_TEST_S3_SECRET_KEY", credentials().secret)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_signed_is_not_trusted() {
    let service = TestS3::start().await;
    let tls = Tls::start(service.address).await;
    let url = format!("s3://{BUCKET}/p?endpoint=https://{}&region=us-east-005", tls.address);
    let Ok(StoreUrl::S3(location)) = parse_store_url(&url) else { panic!("{url}") };
    let error = S3Bucket::new(location, &credentials()).unwrap().head("x").await.unwrap_err();
    assert!(matches!(error, BucketError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

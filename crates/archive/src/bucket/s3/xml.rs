//! The bodies of answers, as much of them as is used.

use serde::Deserialize;

/// What is wrong.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ErrorBody {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) region: Option<String>,
}

/// Answer of `CreateMultipartUpload`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InitiateMultipartUploadResult {
    pub(super) upload_id: String,
}

/// Answer of `CompleteMultipartUpload`.
#[derive(Deserialize)]
pub(super) struct CompleteMultipartUploadResult {
    #[serde(default, rename = "ETag")]
    pub(super) e_tag: String,
}

/// A page of `ListParts`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListPartsResult {
    #[serde(default, rename = "Part")]
    pub(super) parts: Vec<Part>,
    #[serde(default)]
    pub(super) is_truncated: bool,
    /// A number, or nothing.
    pub(super) next_part_number_marker: Option<String>,
}

/// One part.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Part {
    pub(super) part_number: u32,
    #[serde(default, rename = "ETag")]
    pub(super) e_tag: String,
    #[serde(default)]
    pub(super) size: u64,
}

/// A page of `ListMultipartUploads`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMultipartUploadsResult {
    #[serde(default, rename = "Upload")]
    pub(super) uploads: Vec<Upload>,
    #[serde(default)]
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_upload_id_marker: Option<String>,
}

/// One upload.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) upload_id: String,
    #[serde(default)]
    pub(super) initiated: String,
}

/// A page of `ListObjectsV2`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListBucketResult {
    #[serde(default)]
    pub(super) contents: Vec<Object>,
    #[serde(default)]
    pub(super) is_truncated: bool,
    pub(super) next_continuation_token: Option<String>,
}

/// One object.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) size: u64,
    #[serde(default, rename = "ETag")]
    pub(super) e_tag: String,
    #[serde(default)]
    pub(super) last_modified: String,
}

/// A page of `ListObjectVersions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListVersionsResult {
    #[serde(default, rename = "Version")]
    versions: Vec<Version>,
    #[serde(default, rename = "DeleteMarker")]
    delete_markers: Vec<Version>,
    #[serde(default)]
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_version_id_marker: Option<String>,
}

impl ListVersionsResult {
    /// Versions and deletion marks: both have to go.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().chain(&self.delete_markers)
    }
}

/// One version, or one deletion mark.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) key: String,
    /// `null` for what was stored before the bucket kept versions.
    #[serde(default = "unversioned")]
    pub(super) version_id: String,
}

fn unversioned() -> String {
    "null".into()
}

/// An instant in UTC microseconds; 0 if it is none.
pub(super) fn time_us(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_marks_may_alternate() {
        let page: ListVersionsResult = quick_xml::de::from_str(
            "<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
             <Version><Key>a</Key><VersionId>1</VersionId></Version>\
             <DeleteMarker><Key>a</Key><VersionId>2</VersionId></DeleteMarker>\
             <Version><Key>a b</Key><VersionId>3</VersionId></Version>\
             <IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker></ListVersionsResult>",
        )
        .unwrap();
        let entries: Vec<_> =
            page.entries().map(|entry| (entry.key.as_str(), entry.version_id.as_str())).collect();
        assert_eq!(entries, [("a", "1"), ("a b", "3"), ("a", "2")]);
        assert!(page.is_truncated);
        assert_eq!(page.next_version_id_marker, None);
    }

    #[test]
    fn empty_pages_are_pages() {
        let page: ListBucketResult =
            quick_xml::de::from_str("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
                .unwrap();
        assert!(page.contents.is_empty());
        let page: ListMultipartUploadsResult = quick_xml::de::from_str(
            "<ListMultipartUploadsResult><NextKeyMarker/></ListMultipartUploadsResult>",
        )
        .unwrap();
        assert!(page.uploads.is_empty());
    }

    #[test]
    fn times_of_listings() {
        assert_eq!(time_us("2025-11-20T19:00:00.000Z"), 1_763_665_200_000_000);
        assert_eq!(time_us(""), 0);
    }
}

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn encoded(value: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out
}

fn decoded(bytes: &[u8]) -> Result<Value, AmfError> {
    Reader::new(bytes).read()
}

/// The connect object of FFmpeg 5.1, as seen on the wire.
#[test]
fn a_connect_object_is_read() {
    let mut bytes = b"\x03\x00\x03app\x02\x00\x04live\x00\x04fpad\x01\x00".to_vec();
    bytes.extend_from_slice(b"\x00\x0ccapabilities\x00\x40\x2e\0\0\0\0\0\0\x00\x00\x09");
    let value = decoded(&bytes).unwrap();
    assert_eq!(value.get("app").and_then(Value::as_str), Some("live"));
    assert_eq!(value.get("fpad"), Some(&Value::Boolean(false)));
    assert_eq!(value.get("capabilities").and_then(Value::as_f64), Some(15.0));
}

#[test]
fn an_associative_array_ends_at_its_marker_whatever_its_count_says() {
    let body = b"\x00\x01a\x05\x00\x01b\x05\x00\x00\x09";
    for count in [0_u32, 1, 2, 4_000_000_000] {
        let bytes = [b"\x08".as_slice(), &count.to_be_bytes(), body].concat();
        assert_eq!(decoded(&bytes).unwrap().properties().unwrap().len(), 2, "count {count}");
    }
}

#[test]
fn an_associative_array_without_end_marker_is_read_at_the_end_of_the_message() {
    let value = decoded(b"\x08\0\0\0\x01\x00\x01a\x01\x01").unwrap();
    assert_eq!(value, Value::EcmaArray(vec![("a".into(), Value::Boolean(true))]));
    assert_eq!(decoded(b"\x08\0\0\0\x02\x00\x01a\x01\x01").unwrap_err().fault, AmfFault::Truncated);
}

#[test]
fn rarer_types_are_read() {
    assert_eq!(decoded(b"\x07\x00\x03").unwrap(), Value::Null, "reference");
    assert_eq!(decoded(b"\x0d").unwrap(), Value::Undefined, "unsupported");
    assert_eq!(decoded(b"\x0c\0\0\0\x02hi").unwrap(), Value::string("hi"), "long string");
    assert_eq!(decoded(b"\x0b\x40\x2e\0\0\0\0\0\0\x00\x00").unwrap(), Value::Date(15.0));
    assert_eq!(decoded(b"\x0f\0\0\0\x01x").unwrap(), Value::XmlDocument("x".into()));
    assert_eq!(decoded(b"\x02\x00\x02\xe9t").unwrap(), Value::string("\u{fffd}t"), "Latin-1");
    assert_eq!(decoded(b"\x10\x00\x01C\x00\x00\x09").unwrap(), Value::TypedObject("C".into(), vec![]));
}

#[test]
fn limits_have_names() {
    let deep = b"\x0a\0\0\0\x01".repeat(100);
    assert_eq!(decoded(&deep).unwrap_err().fault, AmfFault::TooDeep);
    let mut many = b"\x0a\xff\xff\xff\xff".to_vec();
    many.resize(60_000, 0x05);
    assert_eq!(decoded(&many).unwrap_err().fault, AmfFault::TooManyValues);
    assert_eq!(decoded(b"\x11\x0a").unwrap_err(), AmfError { offset: 0, fault: AmfFault::Marker(0x11) });
}

#[test]
fn a_long_text_becomes_a_long_string() {
    let value = Value::string("x".repeat(70_000));
    assert_eq!(encoded(&value)[0], 0x0c);
    assert_eq!(decoded(&encoded(&value)).unwrap(), value);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<f64>().prop_filter("NaN is not equal to itself", |n| !n.is_nan()).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,12}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        (0.0..1e15_f64).prop_map(Value::Date),
        ".{0,12}".prop_map(Value::XmlDocument),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        let properties = prop::collection::vec((".{1,8}", inner.clone()), 0..6);
        prop_oneof![
            properties.clone().prop_map(Value::Object),
            properties.clone().prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
            (".{0,8}", properties).prop_map(|(class, properties)| Value::TypedObject(class, properties)),
        ]
    })
}

/// An associative array may lack its end marker, so one inside a value can make it whole without its last bytes.
fn has_ecma_array(value: &Value) -> bool {
    match value {
        Value::EcmaArray(_) => true,
        Value::StrictArray(values) => values.iter().any(has_ecma_array),
        Value::Object(properties) | Value::TypedObject(_, properties) => {
            properties.iter().any(|(_, value)| has_ecma_array(value))
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in any_value()) {
        let bytes = encoded(&value);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.read().unwrap(), value);
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn any_bytes_end_in_values_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut reader = Reader::new(&bytes);
        while !reader.is_empty() {
            let before = reader.position();
            if reader.read().is_err() { break }
            prop_assert!(reader.position() > before);
        }
    }

    #[test]
    fn a_truncated_value_is_an_error(value in any_value(), share in 0.0..1.0_f64) {
        let bytes = encoded(&value);
        let cut = (bytes.len() as f64 * share) as usize;
        prop_assert!(cut == bytes.len() || decoded(&bytes[..cut]).is_err() || has_ecma_array(&value));
    }
}

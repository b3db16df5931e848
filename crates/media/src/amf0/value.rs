//! One AMF0 value.

/// One AMF0 value. Texts that are not UTF-8 are read with replacement characters: cameras do send Latin-1.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A double (§2.2).
    Number(f64),
    /// A boolean (§2.3).
    Boolean(bool),
    /// A string or long string (§2.4, §2.14); which of the two follows from the length.
    String(String),
    /// An anonymous object (§2.5), in the order sent.
    Object(Vec<(String, Value)>),
    /// Null (§2.7); also stands for a reference (§2.9), which no publisher needs.
    Null,
    /// Undefined (§2.8); also stands for "unsupported" (§2.15).
    Undefined,
    /// An associative array (§2.10), in the order sent.
    EcmaArray(Vec<(String, Value)>),
    /// An array (§2.12).
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970-01-01 UTC (§2.13). The zone is reserved and not kept.
    Date(f64),
    /// An XML document (§2.17).
    XmlDocument(String),
    /// An object with a class name (§2.18).
    TypedObject(String, Vec<(String, Value)>),
}

impl Value {
    /// A string value.
    #[must_use]
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// An object of the given properties.
    #[must_use]
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Self::Object(properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::XmlDocument(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a number; numbers that a peer wrote as text are read too.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) | Self::Date(number) => Some(*number),
            Self::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The properties of an object or associative array.
    #[must_use]
    pub fn properties(&self) -> Option<&[(String, Value)]> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) | Self::TypedObject(_, properties) => {
                Some(properties)
            }
            _ => None,
        }
    }

    /// The first property of that name, of an object or associative array.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties()?.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

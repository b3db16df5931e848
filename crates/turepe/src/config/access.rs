//! `[access]`: who may watch where nobody has said.

use access::Policy;
use serde_json::{Value, json};

use super::ConfigError;
use super::settings::Keys;

/// What holds where nobody has said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// For clubs that are added.
    pub(crate) new_clubs: Policy,
    /// For channels of no club.
    pub(crate) channels_of_no_club: Policy,
}

impl Access {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            new_clubs: keys.parse("access.new_clubs", Policy::of_club)?,
            channels_of_no_club: keys.parse("access.channels_of_no_club", Policy::of_no_club)?,
        })
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "new_clubs": self.new_clubs.as_str(),
            "channels_of_no_club": self.channels_of_no_club.as_str(),
        })
    }
}

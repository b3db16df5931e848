//! What a write is bound to beside the row's id.

/// The table's `modified` of a row as it was read, in the table's own words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen(pub(crate) Option<String>);

/// Which state of the row a write may replace. Everybody who writes the row stamps `modified`, so an unchanged stamp means
/// that nobody else has spoken since.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Condition {
    /// Whatever stands there.
    #[default]
    None,
    /// The stamp is one that this node wrote, UTC microseconds: never empty, at most
    /// [`MAX_STAMPS`](crate::limits::MAX_STAMPS).
    Ours(Vec<i64>),
    /// The stamp is still the one that was read.
    Unchanged(Seen),
}

//! Who is relayed where: a pure decision over who publishes and what targets there are.

use std::collections::{BTreeMap, HashMap, HashSet};

use media::rtmp::{RtmpUrl, StreamKey};
use uuid::Uuid;

use crate::target::Target;

/// A channel and the id of a target.
pub(crate) type Pair = (Uuid, String);

/// A channel that is published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// The publisher that has it; a later one has a greater number.
    pub(crate) number: u64,
    /// What it showed, for targets that take it.
    pub(crate) key: Option<StreamKey>,
    /// Ids of the targets that somebody in front was told to serve.
    pub(crate) elsewhere: HashSet<String>,
}

/// What is known.
#[derive(Default, Debug)]
pub(crate) struct Book {
    /// Targets of all channels.
    pub(crate) for_all: Vec<Target>,
    /// Targets of single channels.
    pub(crate) of_channel: HashMap<Uuid, Vec<Target>>,
    /// Who publishes.
    pub(crate) published: BTreeMap<Uuid, Published>,
}

impl Book {
    /// All targets of a channel.
    pub(crate) fn targets(&self, channel_id: Uuid) -> impl Iterator<Item = &Target> {
        self.for_all.iter().chain(self.of_channel.get(&channel_id).into_iter().flatten())
    }

    /// The pairs that are to run: every target of every published channel, but for those that somebody else serves.
    pub(crate) fn wanted(&self) -> BTreeMap<Pair, RtmpUrl> {
        let mut wanted = BTreeMap::new();
        for (channel_id, published) in &self.published {
            for target in self.targets(*channel_id).filter(|target| !published.elsewhere.contains(&target.id))
            {
                if let Some(url) = target.address.of(published.key.as_ref()) {
                    wanted.insert((*channel_id, target.id.clone()), url);
                }
            }
        }
        wanted
    }

    /// Whether a pair that runs may go on: it is wanted as it is; or its publisher has gone and its target has not, and then
    /// it ends by itself when no other publisher comes.
    pub(crate) fn keeps(&self, wanted: &BTreeMap<Pair, RtmpUrl>, pair: &Pair, url: &RtmpUrl) -> bool {
        if self.published.contains_key(&pair.0) {
            return wanted.get(pair) == Some(url);
        }
        self.targets(pair.0).any(|target| {
            let is_same = target.address.of(Some(&url.key)).is_some_and(|of| of.tc_url() == url.tc_url());
            target.id == pair.1 && is_same
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Address, BaseUrl};

    fn base(id: &str, url: &str) -> Target {
        Target { id: id.into(), name: None, address: Address::WithKey(BaseUrl::parse(url).unwrap()) }
    }

    fn whole(id: &str, url: &str) -> Target {
        Target { id: id.into(), name: None, address: Address::Whole(RtmpUrl::parse(url).unwrap()) }
    }

    fn published(key: Option<&str>, elsewhere: &[&str]) -> Published {
        let elsewhere = elsewhere.iter().map(|id| (*id).to_owned()).collect();
        Published { number: 1, key: key.map(StreamKey::new), elsewhere }
    }

    fn shown(book: &Book) -> Vec<String> {
        let wanted = book.wanted();
        wanted
            .iter()
            .map(|((channel, id), url)| format!("{} {id} {}", channel.as_u128(), url.key.expose()))
            .collect()
    }

    #[test]
    fn every_target_of_a_published_channel_is_served_by_one() {
        let (one, two, three) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let mut book = Book { for_all: vec![base("all-1", "rtmp://a/live?x=1")], ..Book::default() };
        book.of_channel.insert(one, vec![whole("t", "rtmp://b/app/own")]);
        book.of_channel.insert(three, vec![whole("u", "rtmp://c/app/other")]);
        assert_eq!(shown(&book), Vec::<String>::new(), "nobody publishes");
        book.published.insert(one, published(Some("key1"), &[]));
        book.published.insert(two, published(Some("key2"), &[]));
        assert_eq!(shown(&book), ["1 all-1 key1?x=1", "1 t own", "2 all-1 key2?x=1"]);
        // What SRS was told to do is not done twice; without a key there is nothing to append.
        book.published.insert(one, published(Some("key1"), &["all-1"]));
        book.published.insert(two, published(None, &[]));
        assert_eq!(shown(&book), ["1 t own"]);
    }

    #[test]
    fn what_runs_goes_on_as_long_as_it_is_what_is_wanted() {
        let channel = Uuid::from_u128(1);
        let mut book = Book { for_all: vec![base("all-1", "rtmp://a/live")], ..Book::default() };
        book.of_channel.insert(channel, vec![whole("t", "rtmp://b/app/own")]);
        book.published.insert(channel, published(Some("k"), &[]));
        let keeps = |book: &Book, id: &str, url: &str| {
            book.keeps(&book.wanted(), &(channel, id.to_owned()), &RtmpUrl::parse(url).unwrap())
        };
        assert!(keeps(&book, "all-1", "rtmp://a/live/k") && keeps(&book, "t", "rtmp://b/app/own"));
        assert!(!keeps(&book, "all-1", "rtmp://a/live/of-before"), "the key is another one");
        assert!(!keeps(&book, "t", "rtmp://b/app/of-before"), "the target is another one");
        // The publisher has gone, and may come back.
        book.published.clear();
        assert!(keeps(&book, "all-1", "rtmp://a/live/k") && keeps(&book, "t", "rtmp://b/app/own"));
        book.of_channel.clear();
        assert!(!keeps(&book, "t", "rtmp://b/app/own"), "the target was removed");
    }
}

//! Which processes wait for requests, and of which plugins there should be more: counts and clocks, no process of its own.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::ids::PluginId;

use crate::config::PoolSize;

/// How long a process waits at most. What it saw of the host at its start is not much older then than what a call would see.
const AGE_MAX: Duration = Duration::from_secs(600);

/// After how long without a call a plugin's processes are let go, where their number goes by use. Long enough for a person who asks, reads
/// and asks again.
const UNUSED_MAX: Duration = Duration::from_secs(60);

/// After how long without a call a plugin makes room for another.
const MAKES_ROOM: Duration = Duration::from_secs(10);

/// How long the number of calls at once is remembered, once or twice.
const WINDOW: Duration = Duration::from_secs(10);

/// How long nothing is started of a plugin of which nothing could be started.
const REST: Duration = Duration::from_secs(5);

/// The most processes that wait, over all plugins: each holds some ten descriptors.
const WAITING_MAX: usize = 32;

/// What an operator wants, and what the host has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) size: PoolSize,
    /// The most memory that all of them may hold.
    pub(super) memory_bytes: u64,
    pub(super) processors: usize,
}

/// What waits, by plugin.
#[derive(Debug)]
pub(super) struct Stocks<T> {
    rules: Rules,
    plugins: BTreeMap<PluginId, Stock<T>>,
}

#[derive(Debug)]
struct Stock<T> {
    digest: PackageDigest,
    /// The one that waits longest stands first.
    waiting: VecDeque<Waiting<T>>,
    /// Nothing more is started: one of them did what none may do before its request.
    closed: bool,
    rests_until: Option<Instant>,
    /// When it was last called.
    used: Instant,
    /// Calls that run now.
    calls: usize,
    /// The most calls at once in this window, and in the one before.
    most: [usize; 2],
    window: Instant,
    /// The most memory in bytes that one of them may hold.
    each_bytes: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    since: Instant,
}

impl<T> Stock<T> {
    fn held_bytes(&self) -> u64 {
        let count = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        self.each_bytes.saturating_mul(count)
    }

    fn turn_window(&mut self, now: Instant) {
        if now.saturating_duration_since(self.window) >= WINDOW {
            let [this, _] = self.most;
            self.most = [self.calls, this];
            self.window = now;
        }
    }

    fn wanted(&self, rules: &Rules, now: Instant) -> usize {
        if self.closed || self.rests_until.is_some_and(|until| now < until) {
            return 0;
        }
        match rules.size {
            PoolSize::Off => 0,
            PoolSize::Fixed(count) => count,
            PoolSize::Auto if self.is_unused(now) => 0,
            // As many as were called at once, and one for who comes before the next is there.
            PoolSize::Auto => {
                let [this, last] = self.most;
                (this.max(last) + 1).min(rules.processors.saturating_mul(2))
            }
        }
    }

    fn is_unused(&self, now: Instant) -> bool {
        self.calls == 0 && now.saturating_duration_since(self.used) >= UNUSED_MAX
    }
}

impl<T> Stocks<T> {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            plugins: BTreeMap::new(),
        }
    }

    /// Knows of a plugin, each process of which may hold so much memory, from now on.
    pub(super) fn know(
        &mut self,
        plugin: &PluginId,
        digest: PackageDigest,
        each_bytes: u64,
        now: Instant,
    ) {
        self.plugins.entry(plugin.clone()).or_insert_with(|| Stock {
            digest,
            waiting: VecDeque::new(),
            closed: false,
            rests_until: None,
            used: now,
            calls: 0,
            most: [0, 0],
            window: now,
            each_bytes,
        });
    }

    /// A call begins.
    pub(super) fn begin(&mut self, plugin: &PluginId, now: Instant) {
        if let Some(stock) = self.plugins.get_mut(plugin) {
            stock.turn_window(now);
            stock.used = now;
            stock.calls += 1;
            let [this, _] = &mut stock.most;
            *this = (*this).max(stock.calls);
        }
    }

    /// A call has ended; whether there should be more that wait.
    pub(super) fn end(&mut self, plugin: &PluginId, now: Instant) -> bool {
        let Some(stock) = self.plugins.get_mut(plugin) else {
            return false;
        };
        // One that began before its plugin was replaced is not counted here.
        stock.calls = stock.calls.saturating_sub(1);
        stock.used = now;
        stock.waiting.len() < stock.wanted(&self.rules, now)
    }

    /// The one that waits longest, of this package and no other.
    pub(super) fn take(&mut self, plugin: &PluginId, digest: PackageDigest) -> Option<T> {
        let stock = self.plugins.get_mut(plugin)?;
        let first = (stock.digest == digest).then(|| stock.waiting.pop_front())?;
        first.map(|waiting| waiting.item)
    }

    /// The plugin that is to have one more, the one that was called last before all others.
    pub(super) fn lacking(&self, now: Instant) -> Option<(PluginId, PackageDigest)> {
        let lacks = |(_, stock): &(&PluginId, &Stock<T>)| {
            stock.waiting.len() < stock.wanted(&self.rules, now) && self.has_room(stock)
        };
        let found = self.plugins.iter().filter(lacks);
        let (plugin, stock) = found.max_by_key(|(_, stock)| stock.used)?;
        Some((plugin.clone(), stock.digest))
    }

    /// No plugin takes the last quarter of the memory, unless it has none that waits.
    fn has_room(&self, stock: &Stock<T>) -> bool {
        let budget = self.rules.memory_bytes;
        let after = self.held_bytes().saturating_add(stock.each_bytes);
        let own = stock.held_bytes().saturating_add(stock.each_bytes);
        self.count() < WAITING_MAX
            && after <= budget
            && (stock.waiting.is_empty() || own <= budget / 4 * 3)
    }

    /// Keeps a new one, unless its plugin is not to have it any more. `each_bytes` is what it may hold.
    pub(super) fn put(
        &mut self,
        plugin: &PluginId,
        digest: PackageDigest,
        item: T,
        each_bytes: u64,
        now: Instant,
    ) -> Result<(), T> {
        let known = self.plugins.get_mut(plugin);
        let Some(stock) = known.filter(|stock| stock.digest == digest && !stock.closed) else {
            return Err(item);
        };
        stock.each_bytes = each_bytes;
        if self.held_bytes().saturating_add(each_bytes) > self.rules.memory_bytes {
            return Err(item);
        }
        if let Some(stock) = self.plugins.get_mut(plugin) {
            stock.waiting.push_back(Waiting { item, since: now });
        }
        Ok(())
    }

    /// Nothing could be started of it now.
    pub(super) fn rest(&mut self, plugin: &PluginId, now: Instant) {
        if let Some(stock) = self.plugins.get_mut(plugin) {
            stock.rests_until = Some(now + REST);
        }
    }

    /// Those that are to go: too old, of a plugin that nobody calls, or in the way of one that is called.
    pub(super) fn old(&mut self, now: Instant) -> Vec<T> {
        let by_use = self.rules.size == PoolSize::Auto;
        let mut gone = Vec::new();
        for stock in self.plugins.values_mut() {
            let unused = by_use && stock.is_unused(now);
            let is_old = |waiting: &mut Waiting<T>| {
                unused || now.saturating_duration_since(waiting.since) >= AGE_MAX
            };
            while let Some(first) = stock.waiting.pop_front_if(is_old) {
                gone.push(first.item);
            }
        }
        gone.extend(self.in_the_way(now));
        gone
    }

    /// One of the plugin that was not called for longest, where another that is called has no room.
    fn in_the_way(&mut self, now: Instant) -> Option<T> {
        let lacks = |stock: &&Stock<T>| {
            stock.waiting.is_empty() && stock.wanted(&self.rules, now) > 0 && !self.has_room(stock)
        };
        let wanting = self.plugins.values().filter(lacks);
        let latest = wanting.map(|stock| stock.used).max()?;
        let holds = |stock: &&mut Stock<T>| !stock.waiting.is_empty();
        let others = self.plugins.values_mut().filter(holds);
        let oldest = others.min_by_key(|stock| stock.used)?;
        let makes_room = latest.saturating_duration_since(oldest.used) >= MAKES_ROOM;
        let first = makes_room.then(|| oldest.waiting.pop_front())?;
        first.map(|waiting| waiting.item)
    }

    /// Takes out those of which this is so, with their plugins.
    pub(super) fn extract(
        &mut self,
        is_so: impl Fn(&T) -> bool,
    ) -> Vec<(PluginId, PackageDigest, T)> {
        let mut found = Vec::new();
        for (plugin, stock) in &mut self.plugins {
            let (out, stays): (VecDeque<_>, _) = std::mem::take(&mut stock.waiting)
                .into_iter()
                .partition(|waiting| is_so(&waiting.item));
            stock.waiting = stays;
            let digest = stock.digest;
            found.extend(
                out.into_iter()
                    .map(|gone| (plugin.clone(), digest, gone.item)),
            );
        }
        found
    }

    /// Nothing more is started of this package; gives back what waits of it.
    pub(super) fn close(&mut self, plugin: &PluginId, digest: PackageDigest) -> Vec<T> {
        let known = self.plugins.get_mut(plugin);
        let Some(stock) = known.filter(|stock| stock.digest == digest) else {
            return Vec::new();
        };
        stock.closed = true;
        let gone = std::mem::take(&mut stock.waiting);
        gone.into_iter().map(|waiting| waiting.item).collect()
    }

    /// Lets a plugin have some again.
    pub(super) fn forgive(&mut self, plugin: &PluginId) {
        if let Some(stock) = self.plugins.get_mut(plugin) {
            stock.closed = false;
            stock.rests_until = None;
        }
    }

    /// Forgets all plugins but those that stay; gives back what waits of them.
    pub(super) fn retain(&mut self, stays: impl Fn(&PluginId, PackageDigest) -> bool) -> Vec<T> {
        let gone = |plugin: &PluginId, stock: &mut Stock<T>| !stays(plugin, stock.digest);
        let gone: Vec<_> = self.plugins.extract_if(.., gone).collect();
        let waiting = gone.into_iter().flat_map(|(_, stock)| stock.waiting);
        waiting.map(|waiting| waiting.item).collect()
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.plugins.values().map(|stock| stock.waiting.len()).sum()
    }

    /// The most memory that they may hold together, in bytes.
    pub(super) fn held_bytes(&self) -> u64 {
        self.plugins.values().map(Stock::held_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn stocks(size: PoolSize) -> Stocks<u32> {
        Stocks::new(Rules {
            size,
            memory_bytes: 1_000 * MIB,
            processors: 2,
        })
    }

    fn plugin(name: &str) -> PluginId {
        PluginId::parse(name).unwrap()
    }

    fn digest(letter: char) -> PackageDigest {
        PackageDigest::parse(&letter.to_string().repeat(64)).unwrap()
    }

    /// Starts as many as are wanted, numbered; returns how many.
    fn fill(stocks: &mut Stocks<u32>, each_bytes: u64, now: Instant) -> usize {
        let before = stocks.count();
        while let Some((plugin, digest)) = stocks.lacking(now) {
            let number = u32::try_from(stocks.count()).unwrap();
            stocks
                .put(&plugin, digest, number, each_bytes, now)
                .unwrap();
        }
        stocks.count() - before
    }

    #[test]
    fn there_are_as_many_as_are_called_at_once_and_none_of_what_is_not_called() {
        let (mut stocks, one, start) = (stocks(PoolSize::Auto), plugin("p.a.one"), Instant::now());
        stocks.know(&one, digest('a'), 100 * MIB, start);
        stocks.begin(&one, start);
        assert_eq!(fill(&mut stocks, 100 * MIB, start), 2);
        for _ in 0..9 {
            stocks.begin(&one, start);
        }
        assert_eq!(
            fill(&mut stocks, 100 * MIB, start),
            2,
            "twice the processors"
        );
        for _ in 0..10 {
            stocks.end(&one, start);
        }
        assert_eq!(stocks.take(&one, digest('b')), None, "another version");
        assert_eq!(stocks.take(&one, digest('a')), Some(0), "the longest first");
        let later = start + UNUSED_MAX;
        assert_eq!((stocks.old(later).len(), stocks.lacking(later)), (3, None));
    }

    #[test]
    fn a_fixed_number_stays_and_is_made_anew_when_it_is_old() {
        let (mut stocks, one, start) = (
            stocks(PoolSize::Fixed(3)),
            plugin("p.a.one"),
            Instant::now(),
        );
        stocks.know(&one, digest('a'), MIB, start);
        assert_eq!(fill(&mut stocks, MIB, start), 3);
        assert!(stocks.old(start + UNUSED_MAX).is_empty());
        let later = start + AGE_MAX;
        assert_eq!(stocks.old(later).len(), 3);
        assert_eq!(fill(&mut stocks, MIB, later), 3);
    }

    #[test]
    fn all_together_stay_within_the_memory_and_the_unused_make_room() {
        let (mut stocks, start) = (stocks(PoolSize::Auto), Instant::now());
        let (one, other) = (plugin("p.a.one"), plugin("p.a.other"));
        for _ in 0..4 {
            stocks.know(&one, digest('a'), 400 * MIB, start);
            stocks.begin(&one, start);
        }
        assert_eq!(fill(&mut stocks, 400 * MIB, start), 1, "three quarters");
        stocks.know(&other, digest('b'), 700 * MIB, start);
        stocks.begin(&other, start);
        assert_eq!(stocks.lacking(start), None);
        assert!(stocks.old(start).is_empty(), "it was called just now");
        let later = start + MAKES_ROOM;
        stocks.begin(&other, later);
        assert_eq!(stocks.old(later), [0]);
        assert_eq!(stocks.lacking(later), Some((other, digest('b'))));
    }

    #[test]
    fn what_did_wrong_has_none_until_it_is_forgiven_and_what_is_gone_has_none() {
        let (mut stocks, one, now) = (stocks(PoolSize::Auto), plugin("p.a.one"), Instant::now());
        stocks.know(&one, digest('a'), MIB, now);
        stocks.begin(&one, now);
        fill(&mut stocks, MIB, now);
        assert_eq!(stocks.close(&one, digest('a')).len(), 2);
        assert_eq!(stocks.lacking(now), None);
        assert_eq!(stocks.put(&one, digest('a'), 7, MIB, now), Err(7));
        stocks.forgive(&one);
        assert_eq!(fill(&mut stocks, MIB, now), 2);
        stocks.rest(&one, now);
        assert_eq!(stocks.take(&one, digest('a')), Some(0));
        assert_eq!(stocks.lacking(now), None);
        assert!(stocks.lacking(now + REST).is_some());
        assert_eq!(stocks.retain(|_, package| package == digest('b')).len(), 1);
        assert_eq!(stocks.put(&one, digest('a'), 7, MIB, now), Err(7));
        assert!(!stocks.end(&one, now));
    }
}

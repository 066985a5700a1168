//! Who may run now: a limit on concurrent calls, per plugin and in total, with a bounded queue.
//!
//! A free slot goes to the plugin that runs least among those that have room, and of its calls to the one that has waited longest. No
//! plugin takes the last slots, nor the last places of the queue: however many calls are made of one, another's find a place. No call
//! waits beyond its own deadline.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select_biased};
use plugin_protocol::ids::PluginId;

use crate::config::leaves_some;
use sandbox::Cancel;

/// The slots of all plugins.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    at_once: usize,
    waiting_at_most: usize,
    running: usize,
    by_plugin: HashMap<PluginId, usize>,
    waiting: VecDeque<Waiter>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    plugin: PluginId,
    limit: usize,
    wake: Sender<()>,
}

/// A slot; dropping it passes it to the next waiting call.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Arc<Mutex<State>>,
    plugin: PluginId,
}

/// Why no slot was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSlot {
    /// The queue is full.
    QueueFull,
    /// No slot came free in time.
    TooLate,
    /// The call was cancelled.
    Cancelled,
}

impl Slots {
    /// Slots for `at_once` calls in all, and a queue for `waiting_at_most` more.
    pub(crate) fn new(at_once: usize, waiting_at_most: usize) -> Self {
        let state = State {
            at_once,
            waiting_at_most,
            running: 0,
            by_plugin: HashMap::new(),
            waiting: VecDeque::new(),
            next_ticket: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// How many run now, and how many wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.running, state.waiting.len())
    }

    /// Waits for a slot for `plugin`, of which at most `limit` calls run at once, until `deadline` or until `cancel` is thrown.
    pub(crate) fn take(
        &self,
        plugin: &PluginId,
        limit: usize,
        deadline: Instant,
        cancel: Option<&Cancel>,
    ) -> Result<Slot, NoSlot> {
        let (ticket, turn) = {
            let mut state = lock(&self.state);
            if state.has_room(plugin, limit) && !state.waits(plugin) {
                state.occupy(plugin);
                return Ok(self.slot(plugin));
            }
            state.queue(plugin, limit)?
        };
        let nobody = never();
        let thrown = cancel.map_or(&nobody, Cancel::thrown);
        select_biased! {
            recv(turn) -> _ => Ok(self.slot(plugin)),
            recv(thrown) -> _ => self.give_up(plugin, ticket, &turn, NoSlot::Cancelled),
            recv(at(deadline)) -> _ => self.give_up(plugin, ticket, &turn, NoSlot::TooLate),
        }
    }

    /// Leaves the queue, unless the slot was given at the same moment.
    fn give_up(
        &self,
        plugin: &PluginId,
        ticket: u64,
        turn: &Receiver<()>,
        why: NoSlot,
    ) -> Result<Slot, NoSlot> {
        let mut state = lock(&self.state);
        if turn.try_recv().is_ok() {
            return Ok(self.slot(plugin));
        }
        state.waiting.retain(|waiter| waiter.ticket != ticket);
        Err(why)
    }

    fn slot(&self, plugin: &PluginId) -> Slot {
        Slot {
            state: Arc::clone(&self.state),
            plugin: plugin.clone(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.vacate(&self.plugin);
        state.wake_next();
    }
}

impl State {
    fn has_room(&self, plugin: &PluginId, limit: usize) -> bool {
        let running = self.running_of(plugin);
        running < limit && leaves_some(running, self.at_once.saturating_sub(self.running))
    }

    fn running_of(&self, plugin: &PluginId) -> usize {
        self.by_plugin.get(plugin).copied().unwrap_or(0)
    }

    fn waits(&self, plugin: &PluginId) -> bool {
        self.waiting.iter().any(|waiter| waiter.plugin == *plugin)
    }

    fn queue(&mut self, plugin: &PluginId, limit: usize) -> Result<(u64, Receiver<()>), NoSlot> {
        let of_plugin = |waiter: &&Waiter| waiter.plugin == *plugin;
        let waiting = self.waiting.iter().filter(of_plugin).count();
        let free = self.waiting_at_most.saturating_sub(self.waiting.len());
        if !leaves_some(waiting, free) {
            return Err(NoSlot::QueueFull);
        }
        let (wake, turn) = bounded(1);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back(Waiter {
            ticket,
            plugin: plugin.clone(),
            limit,
            wake,
        });
        Ok((ticket, turn))
    }

    fn occupy(&mut self, plugin: &PluginId) {
        self.running += 1;
        *self.by_plugin.entry(plugin.clone()).or_insert(0) += 1;
    }

    fn vacate(&mut self, plugin: &PluginId) {
        self.running -= 1;
        if let Some(count) = self.by_plugin.get_mut(plugin) {
            *count -= 1;
            if *count == 0 {
                self.by_plugin.remove(plugin);
            }
        }
    }

    /// Gives what is free to waiters whose plugin has room.
    fn wake_next(&mut self) {
        while let Some(waiter) = self.next_waiter().and_then(|at| self.waiting.remove(at)) {
            self.occupy(&waiter.plugin);
            if waiter.wake.send(()).is_err() {
                self.vacate(&waiter.plugin);
            }
        }
    }

    /// Whose turn it is: of the plugins with room the one that runs least, so that a long queue of one holds up no other.
    fn next_waiter(&self) -> Option<usize> {
        let waiting = self.waiting.iter().enumerate();
        let able = waiting.filter(|(_, waiter)| self.has_room(&waiter.plugin, waiter.limit));
        let first = able.min_by_key(|(at, waiter)| (self.running_of(&waiter.plugin), *at));
        first.map(|(at, _)| at)
    }
}

/// The counts stay right when a holder panics: they change only in the short, non-panicking sections here.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A short queue, so that a test can fill it.
    const WAITING: usize = 16;
    /// Three quarters of it.
    const MOST_OF_ONE: usize = 12;

    fn plugin(name: &str) -> PluginId {
        PluginId::parse(name).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn a_plugin_never_runs_more_often_than_its_limit() {
        let slots = Slots::new(8, WAITING);
        let held = slots.take(&plugin("p.one"), 1, soon(), None).unwrap();
        assert_eq!(
            slots.take(&plugin("p.one"), 1, soon(), None).unwrap_err(),
            NoSlot::TooLate
        );
        assert!(
            slots.take(&plugin("p.two"), 1, soon(), None).is_ok(),
            "another plugin is not held up"
        );
        drop(held);
        assert!(slots.take(&plugin("p.one"), 1, soon(), None).is_ok());
    }

    #[test]
    fn all_plugins_together_stay_under_the_bound() {
        let slots = Slots::new(1, WAITING);
        let held = slots.take(&plugin("p.one"), 9, soon(), None).unwrap();
        assert_eq!(
            slots.take(&plugin("p.two"), 9, soon(), None).unwrap_err(),
            NoSlot::TooLate
        );
        drop(held);
        assert!(slots.take(&plugin("p.two"), 9, soon(), None).is_ok());
    }

    #[test]
    fn a_waiter_is_woken_and_the_line_is_bounded() {
        let slots = Slots::new(1, WAITING);
        let held = slots.take(&plugin("p.one"), 1, soon(), None).unwrap();
        let far = Instant::now() + Duration::from_secs(30);
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..MOST_OF_ONE)
                .map(|_| scope.spawn(|| slots.take(&plugin("p.one"), 1, far, None).map(drop)))
                .collect();
            while lock(&slots.state).waiting.len() < MOST_OF_ONE {
                std::thread::yield_now();
            }
            assert_eq!(
                slots.take(&plugin("p.one"), 1, far, None).unwrap_err(),
                NoSlot::QueueFull
            );
            drop(held);
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Ok(()));
            }
        });
        let state = lock(&slots.state);
        assert_eq!(
            (state.running, state.by_plugin.len(), state.waiting.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn no_plugin_takes_the_last_slots() {
        let slots = Slots::new(64, 0);
        let take_all = |name: &str| -> Vec<Slot> {
            let one = || slots.take(&plugin(name), usize::MAX, soon(), None);
            std::iter::from_fn(|| one().ok()).collect()
        };
        let greedy = take_all("p.greedy");
        assert_eq!(greedy.len(), 48);
        let other = take_all("p.other");
        assert_eq!(other.len(), 12);
        let honest = slots.take(&plugin("p.honest"), 1, soon(), None);
        assert!(honest.is_ok());
    }

    #[test]
    fn a_long_queue_of_one_plugin_neither_holds_up_nor_turns_away_another() {
        let slots = Slots::new(2, WAITING);
        let far = Instant::now() + Duration::from_secs(30);
        let greedy = || slots.take(&plugin("p.greedy"), 9, far, None);
        let (first, second) = (greedy().unwrap(), greedy().unwrap());
        std::thread::scope(|scope| {
            let queued = |name: &'static str| {
                let (slots, before) = (&slots, slots.counts().1);
                let waiter = scope.spawn(move || slots.take(&plugin(name), 9, far, None));
                while slots.counts().1 == before {
                    std::thread::yield_now();
                }
                waiter
            };
            let ahead: Vec<_> = (0..MOST_OF_ONE).map(|_| queued("p.greedy")).collect();
            assert_eq!(greedy().unwrap_err(), NoSlot::QueueFull);
            let honest = queued("p.honest");
            drop(first);
            let honest = honest.join().unwrap();
            assert!(honest.is_ok(), "the first slot is for who has none");
            assert_eq!(slots.counts(), (2, MOST_OF_ONE));
            drop((honest, second));
            for waiter in ahead {
                drop(waiter.join().unwrap().unwrap());
            }
        });
    }

    #[test]
    fn a_waiter_leaves_the_line_when_its_call_is_cancelled() {
        let slots = Slots::new(1, WAITING);
        let held = slots.take(&plugin("p.one"), 1, soon(), None).unwrap();
        let cancel = Cancel::new().unwrap();
        let far = Instant::now() + Duration::from_secs(30);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                slots
                    .take(&plugin("p.one"), 1, far, Some(&cancel))
                    .map(drop)
            });
            while slots.counts() != (1, 1) {
                std::thread::yield_now();
            }
            cancel.cancel();
            assert_eq!(waiter.join().unwrap(), Err(NoSlot::Cancelled));
        });
        drop(held);
        assert_eq!(slots.counts(), (0, 0));
    }
}

//! Lets the host breathe: wasm has one thread, and a cancel can only get in between two stretches of work.

use crate::LocalFuture;
use std::rc::Rc;

/// Gives the host a turn, then resolves.
pub type Pause = Rc<dyn Fn() -> LocalFuture<'static, ()>>;

/// Multiply-adds between two pauses: some 10 to 50 ms.
pub const STRETCH: u64 = 100_000_000;

/// Counts work and pauses after each stretch of it.
#[derive(Clone, Default)]
pub struct Pace {
    pause: Option<Pause>,
    spent: u64,
}

impl Pace {
    /// Pauses with `pause`, or never.
    pub fn new(pause: Option<Pause>) -> Pace {
        Pace { pause, spent: 0 }
    }

    /// Counts work, and pauses if it has been enough.
    pub async fn spend(&mut self, multiply_adds: u64) {
        self.spent += multiply_adds;
        if self.spent >= STRETCH {
            self.spent = 0;
            if let Some(pause) = &self.pause {
                pause().await;
            }
        }
    }
}

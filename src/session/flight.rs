//! How many steps a submission holds, and how many submissions are on their way.
//!
//! The flight starts at one step, so that the first word comes at once, and doubles while a submission stays under 100 ms: a slow adapter
//! then neither hides words for seconds nor meets a watchdog. Two submissions keep the device busy while the host reads.

use crate::{
    Result,
    plan::{MAX_STEPS, Machine, PlanId, Sampled, Ticket},
};
use std::{collections::VecDeque, rc::Rc};

/// A submission should stay under this many milliseconds.
const SUBMISSION_MS: f64 = 100.0;

/// Submissions on their way to the device and back.
pub struct Flight {
    clock: Option<Rc<dyn Fn() -> f64>>,
    most_steps: u32,
    most_submissions: usize,
    steps: u32,
    aloft: VecDeque<Submission>,
    last_landing: f64,
}

struct Submission {
    ticket: Ticket,
    steps: u32,
    submitted_at: f64,
}

/// What one advance brought.
pub struct Flown {
    /// Draws, step-major, `[steps * rows]`.
    pub sampled: Vec<Sampled>,
    /// Steps that went up.
    pub submitted_steps: u32,
    /// Submissions that went up.
    pub submissions: u32,
}

impl Flight {
    /// A synchronous machine takes one step at a time: computing ahead would only delay it.
    pub fn new(synchronous: bool, clock: Option<Rc<dyn Fn() -> f64>>) -> Flight {
        let (most_steps, most_submissions) = if synchronous { (1, 1) } else { (MAX_STEPS, 2) };
        Flight { clock, most_steps, most_submissions, steps: 1, aloft: VecDeque::new(), last_landing: 0.0 }
    }

    /// Pins steps a submission and submissions aloft, for tests and measurements.
    pub fn pin(&mut self, steps: u32, submissions: usize) {
        (self.steps, self.most_steps, self.most_submissions, self.clock) = (steps, steps, submissions, None);
    }

    /// Begins a request: one step first.
    pub fn start(&mut self) {
        if self.clock.is_some() {
            self.steps = 1;
        }
    }

    /// Tops the flight up to at most `wanted` steps ahead, and waits for the oldest submission. A wait that was dropped is taken up by the
    /// next call.
    pub async fn advance(&mut self, machine: &mut dyn Machine, plan: PlanId, wanted: u32) -> Result<Flown> {
        let (mut submitted_steps, mut submissions) = (0, 0);
        while self.aloft.len() < self.most_submissions {
            let ahead: u32 = self.aloft.iter().map(|s| s.steps).sum();
            let steps = self.steps.min(wanted.saturating_sub(ahead));
            if steps == 0 && !self.aloft.is_empty() {
                break;
            }
            let steps = steps.max(1);
            let ticket = machine.submit(plan, steps);
            self.aloft.push_back(Submission { ticket, steps, submitted_at: self.now() });
            (submitted_steps, submissions) = (submitted_steps + steps, submissions + 1);
        }
        let sampled = self.land(machine).await?;
        Ok(Flown { sampled, submitted_steps, submissions })
    }

    /// Waits until nothing is aloft.
    pub async fn drain(&mut self, machine: &mut dyn Machine) -> Result<()> {
        while !self.aloft.is_empty() {
            self.land(machine).await?;
        }
        Ok(())
    }

    /// Waits for the oldest submission, which leaves the flight only when the machine has let go of its ticket.
    async fn land(&mut self, machine: &mut dyn Machine) -> Result<Vec<Sampled>> {
        let oldest = self.aloft.front().expect("only what is aloft can land");
        let sampled = machine.finish(oldest.ticket).await?;
        if let Some(landed) = self.aloft.pop_front() {
            self.adapt(&landed);
        }
        Ok(sampled)
    }

    fn adapt(&mut self, landed: &Submission) {
        let now = self.now();
        let step_ms = (now - landed.submitted_at.max(self.last_landing)) / f64::from(landed.steps);
        self.last_landing = now;
        if self.clock.is_none() {
            return;
        }
        let affordable = |steps: u32| f64::from(steps) * step_ms <= SUBMISSION_MS;
        self.steps = match self.steps {
            steps if steps < self.most_steps && affordable(2 * steps) => 2 * steps,
            steps if steps > 1 && !affordable(steps) => steps / 2,
            steps => steps,
        };
    }

    fn now(&self) -> f64 {
        self.clock.as_ref().map_or(0.0, |clock| clock())
    }
}

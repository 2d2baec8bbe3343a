//! What the device can do at best, measured on it: the three costs that bound a decoding step.
//!
//! Each cost is a slope: the time of two amounts of work, so that what both pay once cancels. The larger amount grows until the difference
//! is far above a clock's steps (browsers round to 0.1 ms) and short enough for any watchdog.

use crate::{
    Result,
    plan::{Machine, Probe},
};

/// What bounds a device, at the time it was measured.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Roofline {
    /// 10^9 bytes a second when memory is read as fast as it can be.
    pub read_gb_s: f64,
    /// Microseconds that one more dispatch in a pass costs, whatever it does; about 0 on the CPU.
    pub dispatch_us: f64,
    /// Microseconds from submitting a dispatch to having its result on the host; about 0 on the CPU.
    pub round_trip_us: f64,
    /// 10^9 multiply-adds a second of the CPU's integer loop at its best; 0 where matrices are not multiplied by it.
    pub multiply_gmac_s: f64,
}

impl Roofline {
    /// The least milliseconds in which a step can read so many bytes, and in which it can run so many dispatches; it takes their sum.
    pub fn bound_ms(&self, bytes: u64, dispatches: usize) -> (f64, f64) {
        (bytes as f64 / self.read_gb_s / 1e6, dispatches as f64 * self.dispatch_us / 1e3)
    }
}

/// Milliseconds of difference that are enough.
const ENOUGH_MS: f64 = 40.0;

/// Measures each cost once.
pub(super) async fn measure(machine: &mut dyn Machine, clock: &dyn Fn() -> f64) -> Result<Roofline> {
    let read_ms = slope(machine, clock, Probe::Read, 128 << 20, 64 << 30).await?;
    let dispatch_ms = slope(machine, clock, Probe::Dispatch, 64, 1 << 16).await?;
    let round_trip_ms = slope(machine, clock, Probe::RoundTrip, 2, 1 << 12).await?;
    let multiply_ms = slope(machine, clock, Probe::Multiply, 1 << 28, 1 << 32).await?;
    Ok(Roofline {
        read_gb_s: 1e-6 / read_ms.max(1e-12),
        dispatch_us: dispatch_ms * 1e3,
        round_trip_us: round_trip_ms * 1e3,
        // Nothing was done where even 2^32 take no time.
        multiply_gmac_s: if multiply_ms > 1e-9 { 1e-6 / multiply_ms } else { 0.0 },
    })
}

/// Milliseconds that one more unit of work takes. `least` units are always done, `most` more at most.
async fn slope(machine: &mut dyn Machine, clock: &dyn Fn() -> f64, probe: Probe, least: u64, most: u64) -> Result<f64> {
    // The first time compiles a kernel or touches memory for the first time.
    time(machine, clock, probe, least).await?;
    let few = time(machine, clock, probe, least).await?;
    let mut more = least;
    loop {
        let difference = time(machine, clock, probe, least + more).await? - few;
        if difference >= ENOUGH_MS || more >= most {
            return Ok(difference.max(0.0) / more as f64);
        }
        more *= 4;
    }
}

async fn time(machine: &mut dyn Machine, clock: &dyn Fn() -> f64, probe: Probe, amount: u64) -> Result<f64> {
    let start = clock();
    machine.probe(probe, amount).await?;
    Ok(clock() - start)
}

//! Which device runs a model, and why, in words for the person at the screen.

use super::{DeviceChoice, Host};
use crate::{
    gpu::{Gpu, GpuOptions},
    plan::{DeviceInfo, Machine, MachineError},
};

/// The device that runs, and why it was chosen.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct DeviceReport {
    /// What it is.
    #[serde(flatten)]
    pub info: DeviceInfo,
    /// Why this one: a clause without a full stop.
    pub reason: String,
}

impl DeviceReport {
    pub(super) fn new(info: DeviceInfo, reason: String) -> DeviceReport {
        DeviceReport { info, reason }
    }
}

/// Opens a GPU that the choice allows, and says why it is taken.
pub(super) async fn gpu(choice: DeviceChoice, host: &Host) -> Result<(Gpu, String), MachineError> {
    let options = GpuOptions {
        adapter: host.adapter.clone(),
        pause: host.gpu_pause.clone(),
        clock: host.clock.clone(),
        chosen_before: host.kernels.clone(),
        ..GpuOptions::default()
    };
    let gpu = Gpu::open(options).await?;
    let info = gpu.device();
    if choice == DeviceChoice::Auto && info.software {
        let reason = format!("{} computes in software, where the processor alone is faster", info.adapter);
        return Err(MachineError::NoDevice { reason });
    }
    let reason = match choice {
        DeviceChoice::Auto => "it computes this model correctly, as the self-test showed",
        _ => "a GPU was asked for, and it passed the self-test",
    };
    Ok((gpu, reason.to_string()))
}

/// Why there is no GPU, as a clause.
pub(super) fn why_not(error: &MachineError) -> String {
    match error {
        MachineError::NoDevice { reason } => reason.clone(),
        other => other.to_string(),
    }
}

//! Options → an opened device: which adapter, what it is called, and where its errors go.
//!
//! Only WebGPU's default limits are asked for, natively too, so that what runs here runs in every browser. A device reports errors long
//! after the call that caused them; they gather in `Faults` and surface at the next call that can fail.

use super::readback::Pause;
use crate::plan::{DeviceInfo, MachineError};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// How to choose a device and its kernels.
#[derive(Clone, Default)]
pub struct GpuOptions {
    /// Part of the adapter's name, upper and lower case alike; any adapter if `None`. Ignored on the web.
    pub adapter: Option<String>,
    /// Take an adapter that computes on the CPU.
    pub software: bool,
    /// Which kernels to run; by the adapter's kind if `None`.
    pub variant: Option<Variant>,
    /// Awaited again and again while a result is due, with an empty submission after each.
    ///
    /// Firefox completes GPU work on a 100 ms timer (bug 1870699); with a `setTimeout(0)` here a result takes 5 to 8 ms.
    pub pause: Option<Pause>,
    /// Milliseconds from any fixed point. With it, and no `variant`, a real GPU's kernels are chosen by timing them ([`super::Gpu::tune`]).
    pub clock: Option<Rc<dyn Fn() -> f64>>,
    /// By the adapter's name: the id of the kernels that timing chose before. They are taken without timing them again.
    pub chosen_before: BTreeMap<String, String>,
}

/// A set of kernels. All but `Threads` add in the same order: which of them runs, no draft tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// A thread for each pair of outputs, norms as dispatches of their own: no barriers, for adapters that compute on the CPU.
    Threads,
    /// 8 to 32 of a workgroup's 64 threads share a pair of outputs and read consecutive weights, norms are fused: for real GPUs.
    Lanes,
    /// `Lanes` in workgroups of 128.
    LanesWide,
    /// `Lanes` whose threads add up by subgroup operations.
    Subgroups,
    /// `Subgroups` in workgroups of 128.
    SubgroupsWide,
    /// `Lanes` with norms as dispatches of their own: the oracle of the fused ones.
    LanesUnfused,
}

impl Variant {
    pub(super) fn id(self) -> &'static str {
        match self {
            Variant::Threads => "wgsl-threads",
            Variant::Lanes => "wgsl-lanes",
            Variant::LanesWide => "wgsl-lanes-128",
            Variant::Subgroups => "wgsl-subgroups",
            Variant::SubgroupsWide => "wgsl-subgroups-128",
            Variant::LanesUnfused => "wgsl-lanes-unfused",
        }
    }

    /// Whether an adapter must have subgroups for it.
    pub(super) fn uses_subgroups(self) -> bool {
        matches!(self, Variant::Subgroups | Variant::SubgroupsWide)
    }
}

/// An opened device.
pub(super) struct Opened {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: DeviceInfo,
    pub(super) variant: Variant,
    pub(super) faults: Faults,
}

impl Opened {
    fn new(device: wgpu::Device, queue: wgpu::Queue, info: wgpu::AdapterInfo, variant: Option<Variant>) -> Opened {
        let adapter = name(&device, &info);
        let software = is_software(info.device_type, &adapter);
        let variant = variant.unwrap_or(if software { Variant::Threads } else { Variant::Lanes });
        let faults = Faults::of(&device);
        let info = DeviceInfo { kind: kind(info.backend).to_string(), adapter, software, variants: variant.id().to_string() };
        Opened { device, queue, info, variant, faults }
    }
}

/// Opens the best adapter that the options allow.
pub(super) async fn open(options: &GpuOptions) -> Result<Opened, MachineError> {
    let no_device = |reason: String| MachineError::NoDevice { reason };
    let adapter = choose(options).await.map_err(no_device)?;
    let info = adapter.get_info();
    // Timestamps are for `bench --profile` alone; browsers round them to 100 us, so there they are not asked for.
    let timestamps = if cfg!(target_arch = "wasm32") { wgpu::Features::empty() } else { wgpu::Features::TIMESTAMP_QUERY };
    let features = adapter.features() & (wgpu::Features::SUBGROUP | timestamps);
    if options.variant.is_some_and(Variant::uses_subgroups) && !features.contains(wgpu::Features::SUBGROUP) {
        return Err(no_device(format!("{} has no subgroups", info.name)));
    }
    let description = wgpu::DeviceDescriptor { required_features: features, ..description() };
    let opened = adapter.request_device(&description).await;
    let (device, queue) = opened.map_err(|error| no_device(format!("{} cannot be opened: {error}", info.name)))?;
    Ok(Opened::new(device, queue, info, options.variant))
}

/// A device that validates and does nothing.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn open_noop(options: &GpuOptions) -> Opened {
    let (device, queue) = wgpu::Device::noop(&description());
    let info = device.adapter_info();
    Opened::new(device, queue, info, options.variant)
}

fn description() -> wgpu::DeviceDescriptor<'static> {
    wgpu::DeviceDescriptor { label: Some("kinglet"), required_limits: wgpu::Limits::defaults(), ..Default::default() }
}

#[cfg(target_arch = "wasm32")]
async fn choose(options: &GpuOptions) -> Result<wgpu::Adapter, String> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let wish = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        force_fallback_adapter: options.software,
        ..Default::default()
    };
    instance.request_adapter(&wish).await.map_err(|error| format!("the browser offers no WebGPU adapter: {error}"))
}

#[cfg(not(target_arch = "wasm32"))]
async fn choose(options: &GpuOptions) -> Result<wgpu::Adapter, String> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let description = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let adapters = wgpu::Instance::new(description).enumerate_adapters(backends).await;
    let found: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    let is_allowed = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        let named = options.adapter.as_ref().is_none_or(|part| info.name.to_lowercase().contains(&part.to_lowercase()));
        named && (!options.software || is_software(info.device_type, &info.name))
    };
    let rank = |adapter: &wgpu::Adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    let wanted = match (&options.adapter, options.software) {
        (Some(part), _) => format!("an adapter named {part:?}"),
        (None, true) => "a software adapter".to_string(),
        (None, false) => "any adapter".to_string(),
    };
    let found = if found.is_empty() { "none".to_string() } else { found.join(", ") };
    adapters.into_iter().filter(is_allowed).min_by_key(rank).ok_or(format!("looked for {wanted}, found {found}"))
}

fn kind(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::BrowserWebGpu => "webgpu",
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::Noop => "noop",
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn name(_device: &wgpu::Device, info: &wgpu::AdapterInfo) -> String {
    info.name.clone()
}

/// Browsers tell the description to few pages; vendor and architecture are what remains.
#[cfg(target_arch = "wasm32")]
fn name(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> String {
    let field = |name: &str| {
        let info = js_sys::Reflect::get(device.as_webgpu()?.as_ref(), &"adapterInfo".into()).ok()?;
        js_sys::Reflect::get(&info, &name.into()).ok()?.as_string().filter(|text| !text.is_empty())
    };
    let parts: Vec<String> = ["vendor", "architecture", "device"].into_iter().filter_map(field).collect();
    match (info.name.is_empty(), parts.is_empty()) {
        (true, true) => "unnamed".to_string(),
        (true, false) => parts.join(" "),
        (false, _) => info.name.clone(),
    }
}

fn is_software(device_type: wgpu::DeviceType, name: &str) -> bool {
    let name = name.to_lowercase();
    let names = ["swiftshader", "llvmpipe", "lavapipe", "microsoft basic render"];
    device_type == wgpu::DeviceType::Cpu || names.iter().any(|part| name.contains(part))
}

/// The first error that the device reported outside any call, kept until someone asks.
#[derive(Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Option<MachineError>>>);

impl Faults {
    fn of(device: &wgpu::Device) -> Faults {
        let faults = Faults::default();
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| lost.put(MachineError::Lost { reason: format!("{reason:?}: {message}") }));
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| uncaptured.put(describe("the device", 0, "a submission", &error))));
        faults
    }

    /// Keeps an error, unless there is an earlier one.
    pub(super) fn put(&self, error: MachineError) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    /// Fails with the first error, again and again: a device that erred once is not to be trusted.
    pub(super) fn check(&self) -> Result<(), MachineError> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.clone().map_or(Ok(()), Err)
    }
}

/// An error of the device in our words: about memory for `what`, or about `kernel`.
pub(super) fn describe(what: &str, bytes: u64, kernel: &str, error: &wgpu::Error) -> MachineError {
    match error {
        wgpu::Error::OutOfMemory { .. } => MachineError::OutOfMemory { what: what.to_string(), bytes, reason: error.to_string() },
        _ => MachineError::Kernel { kernel: kernel.to_string(), reason: error.to_string() },
    }
}

//! Every kernel with every legal set of parts: valid WGSL for naga, and bindings as its header says. No device needed.

use kinglet::gpu::Shader;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, GlobalVariable, StorageAccess};
use std::collections::BTreeMap;
use std::path::Path;

fn parse(shader: &Shader) -> naga::Module {
    let text = shader.text();
    naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{}: {}", shader.name(), error.emit_to_string(&text)))
}

#[test]
fn every_shader_is_valid() {
    let shaders = Shader::all();
    for shader in &shaders {
        let module = parse(shader);
        let subgroups = shader.parts.contains(&"collect_subgroups");
        let capabilities = if subgroups { Capabilities::SUBGROUP } else { Capabilities::empty() };
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
        if let Err(error) = validator.validate(&module) {
            panic!("{}: {}", shader.name(), error.emit_to_string(&shader.text()));
        }
    }
    assert!(shaders.len() > 60, "only {} shaders", shaders.len());
    write_down(&shaders);
}

/// Browsers have other compilers, which refuse some of what naga takes: `tests/browser/shaders.test.mjs` asks one of them.
fn write_down(shaders: &[Shader]) {
    let entry = |shader: &Shader| {
        // naga has subgroups without being told to, and does not know the directive.
        let enable = if shader.parts.contains(&"collect_subgroups") { "enable subgroups;\n" } else { "" };
        serde_json::json!({ "name": shader.name(), "text": format!("{enable}{}", shader.text()) })
    };
    let entries: Vec<serde_json::Value> = shaders.iter().map(entry).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/output");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("shaders.json"), serde_json::to_string(&entries).unwrap()).unwrap();
}

#[test]
fn bindings_are_what_the_header_says() {
    for shader in Shader::all() {
        let path = format!("{}/shaders/{}.wgsl", env!("CARGO_MANIFEST_DIR"), shader.kernel);
        let header = header_bindings(&std::fs::read_to_string(path).expect("the kernel's file"));
        for (binding, (name, access)) in reflected_bindings(&parse(&shader)) {
            assert_eq!(header.get(&binding), Some(&(name, access)), "{} @{binding}: header against code", shader.name());
        }
    }
}

#[test]
fn shaders_stay_within_the_default_limits() {
    for shader in Shader::all() {
        let module = parse(&shader);
        let storage = |global: &&GlobalVariable| matches!(global.space, AddressSpace::Storage { .. });
        let num_storage = module.global_variables.iter().map(|(_, global)| global).filter(storage).count();
        assert!(num_storage <= 8, "{}: {num_storage} storage buffers", shader.name());
        let shared = module.global_variables.iter().filter(|(_, global)| global.space == AddressSpace::WorkGroup);
        let shared_bytes: u32 = shared.map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx())).sum();
        assert!(shared_bytes <= 16 << 10, "{}: {shared_bytes} bytes of workgroup storage", shader.name());
        let threads: u32 = module.entry_points[0].workgroup_size.iter().product();
        assert!(threads <= 256, "{}: {threads} threads", shader.name());
    }
}

/// `//   @3 scales [n, groups]   read   note` → 3: (scales, read)
fn header_bindings(text: &str) -> BTreeMap<u32, (String, &'static str)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//   @"));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let binding = words.next().unwrap().parse().unwrap();
            let name = words.next().unwrap().to_string();
            let access = ["read_write", "read", "uniform"].into_iter().find(|access| line.split_whitespace().any(|word| word == *access));
            (binding, (name, access.unwrap_or_else(|| panic!("no access in {line}"))))
        })
        .collect()
}

fn reflected_bindings(module: &naga::Module) -> BTreeMap<u32, (String, &'static str)> {
    let bound = module.global_variables.iter().filter_map(|(_, global)| Some((global.binding?, global)));
    bound
        .map(|(binding, global)| {
            assert_eq!(binding.group, 0);
            let access = match global.space {
                AddressSpace::Uniform => "uniform",
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => "read_write",
                AddressSpace::Storage { .. } => "read",
                space => panic!("{space:?} is bound"),
            };
            (binding.binding, (global.name.clone().unwrap_or_default(), access))
        })
        .collect()
}

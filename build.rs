//! Generates the link arguments that turn the cdylib into `libaio.so.1`, and `libaio.h` and
//! `libaio.pc` in `OUT_DIR`. Copies of these two files are checked in, so `make` needs no cbindgen;
//! tests/header.rs compares them.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    set_cpu_cfgs(&root);
    link_as_libaio(&root, &out);
    #[cfg(feature = "header")]
    generate_header(&root, &out.join("libaio.h"));
    generate_pkg_config(&root, &out.join("libaio.pc"));
    // The tests need the target to find a C compiler with the cc crate.
    let target = env::var("TARGET").expect("cargo sets it");
    println!("cargo:rustc-env=LIBAIO_RS_TARGET={target}");
}

/// Sets the `cfg`s that depend on the CPU's file in src/sys/arch: `reaps_in_user_space`, if it has
/// restartable sections and the target is 64-bit and little-endian; and `pages_of_4_kib`.
fn set_cpu_cfgs(root: &Path) {
    println!("cargo:rustc-check-cfg=cfg(reaps_in_user_space, pages_of_4_kib, without_exclusion)");
    let cfg = |name: &str| env::var(name).expect("cargo sets it");
    let cpu = cfg("CARGO_CFG_TARGET_ARCH");
    let folder = root.join("src/sys/arch");
    println!("cargo:rerun-if-changed={}", folder.display());
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("part of the sources");
    let name = format!("\"{cpu}\"");
    let table = read("mod.rs");
    let file = table
        .lines()
        .filter(|line| line.contains(&name))
        .find_map(|line| line.trim().strip_suffix(';')?.split_once(" => "))
        .map(|(_, file)| format!("{file}.rs"));
    // For a CPU without a file, mod.rs has a compile_error!.
    let text = file.map(|file| read(&file)).unwrap_or_default();
    if text.contains("pub const REAPS: bool = true;")
        && cfg("CARGO_CFG_TARGET_POINTER_WIDTH") == "64"
        && cfg("CARGO_CFG_TARGET_ENDIAN") == "little"
    {
        println!("cargo:rustc-cfg=reaps_in_user_space");
    }
    if text.contains("pub const LARGEST_PAGE: usize = 4096;") {
        println!("cargo:rustc-cfg=pages_of_4_kib");
    }
}

/// Link arguments for plain `cargo build`. The Makefile links the library that it installs.
fn link_as_libaio(root: &Path, out: &Path) {
    let map = root.join("libaio.map");
    println!("cargo:rerun-if-changed={}", map.display());
    for argument in [
        format!("-B{}", linker_wrappers(out).display()),
        format!("-Wl,--version-script={}", map.display()),
        "-Wl,-soname,libaio.so.1".to_string(),
        // Start files contain constructors and references to libc.
        "-nostartfiles".to_string(),
        // Undefined symbols are errors. A reachable panic path leaves one.
        "-Wl,-z,defs".to_string(),
        explain_panic_error(out).display().to_string(),
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}

/// Makes the link error of a profile with panicking checks readable. Such a profile leaves
/// `rust_eh_personality` undefined. This linker script defines it, only if it is needed, as another
/// undefined symbol, whose name explains the problem.
fn explain_panic_error(out: &Path) -> PathBuf {
    let script = out.join("panic.ld");
    let name = "this_profile_has_checks_that_panic__see_Building_in_README_md";
    let text = format!("PROVIDE(rust_eh_personality = {name});\n");
    fs::write(&script, text).expect("OUT_DIR is writable");
    script
}

/// Writes scripts that call the linker without rustc's version script, because GNU ld and gold do
/// not accept two version scripts. The compiler driver finds them first, through `-B`. lld accepts
/// two; it has another name, so it is called directly.
fn linker_wrappers(out: &Path) -> PathBuf {
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let driver = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_string());
    let directory = out.join("linker");
    fs::create_dir_all(&directory).expect("OUT_DIR is writable");
    for name in ["ld", "ld.bfd", "ld.gold"] {
        let real = Command::new(&driver)
            .arg(format!("-print-prog-name={name}"))
            .output()
            .ok()
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .map(|path| path.trim().to_string())
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| name.to_string());
        let script = format!(
            "#!/bin/sh\n\
             for argument do\n\
             \tshift\n\
             \tcase $argument in\n\
             \t--version-script=*/rustc*/list) ;;\n\
             \t*) set -- \"$@\" \"$argument\" ;;\n\
             \tesac\n\
             done\n\
             exec '{real}' \"$@\"\n"
        );
        let path = directory.join(name);
        fs::write(&path, script).expect("OUT_DIR is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("OUT_DIR is ours");
    }
    directory
}

#[cfg(feature = "header")]
fn generate_header(root: &Path, header: &Path) {
    let sources = ["src/abi.rs", "src/c_abi/functions.rs"];
    let configuration = root.join("cbindgen.toml");
    println!("cargo:rerun-if-changed={}", configuration.display());
    let mut builder = cbindgen::Builder::new().with_config(
        cbindgen::Config::from_file(&configuration).expect("cbindgen.toml can be read"),
    );
    for source in sources {
        println!("cargo:rerun-if-changed={source}");
        builder = builder.with_src(root.join(source));
    }
    // The inline functions are in C. cbindgen appends them unchanged.
    let inline = "src/c_abi/inline.h";
    println!("cargo:rerun-if-changed={inline}");
    let inline = fs::read_to_string(root.join(inline)).expect("inline.h can be read");
    let mut text = Vec::new();
    builder
        .with_trailer(inline.trim_end())
        .generate()
        .expect("the sources parse")
        .write(&mut text);
    // cbindgen puts the semicolon of a conditional field after the #endif, where it is an empty
    // declaration. Move it before the #endif.
    let text = String::from_utf8(text)
        .expect("C is ASCII")
        .replace("\n#endif\n    ;\n", ";\n#endif\n");
    fs::write(header, text).expect("OUT_DIR is writable");
}

/// The version is that of the libaio that this library replaces, because programs require one.
fn generate_pkg_config(root: &Path, file: &Path) {
    let template = root.join("pkgconfig/libaio.pc.in");
    println!("cargo:rerun-if-changed={}", template.display());
    let text = fs::read_to_string(template)
        .expect("pkgconfig/libaio.pc.in can be read")
        .replace(
            "@DESCRIPTION@",
            &env::var("CARGO_PKG_DESCRIPTION").expect("cargo sets it"),
        )
        .replace("@VERSION@", "0.3.113");
    fs::write(file, text).expect("OUT_DIR is writable");
}

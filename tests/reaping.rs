//! Completions are taken from the ring, without a system call, unless LIBAIO_RS_REAP=kernel says
//! otherwise: c-tests/no_system_call.c runs under a filter that kills for one.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use support::{attempt, cc, original, ours, report, root, run, scratch, skip, text, Installation};

/// Machines on which build.rs sets cfg(reaps_in_user_space).
const REAPS: bool = cfg!(all(
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
));

fn build(place: &Path, library: &Installation, with_archive: bool) -> Command {
    let program = place.join("program");
    let file = match with_archive {
        true => &library.archive,
        false => &library.shared,
    };
    run(cc()
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(&library.include)
        .arg("-o")
        .arg(&program)
        .arg(root().join("c-tests/no_system_call.c"))
        .arg(file));
    let mut command = Command::new(program);
    command
        .current_dir(place)
        .env("LD_LIBRARY_PATH", library.libdir())
        .env_remove("LIBAIO_RS_REAP");
    command
}

#[track_caller]
fn assert_reaps_in_user_space(command: &mut Command) {
    let output = attempt(command);
    let expected = std::fs::read_to_string(root().join("c-tests/no_system_call.expected"))
        .expect("part of the checkout");
    if REAPS {
        assert_eq!(
            text(&output.stdout),
            expected,
            "{}",
            report(command, &output)
        );
    } else {
        assert!(was_killed(&output), "{}", report(command, &output));
    }
}

fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(31) // SIGSYS
}

#[test]
fn from_the_ring() {
    let place = scratch();
    assert_reaps_in_user_space(&mut build(place.path(), ours(), false));
    assert_reaps_in_user_space(&mut build(place.path(), ours(), true));
}

#[test]
fn by_the_kernel_if_told_so() {
    let place = scratch();
    for with_archive in [false, true] {
        let mut program = build(place.path(), ours(), with_archive);
        let output = attempt(program.env("LIBAIO_RS_REAP", "kernel"));
        assert!(was_killed(&output), "{}", report(&program, &output));
        for other in ["", "kerne", "kernels", "ring"] {
            assert_reaps_in_user_space(program.env("LIBAIO_RS_REAP", other));
        }
    }
}

#[test]
fn the_original_makes_the_system_call() {
    let Some(original) = original() else {
        return skip("the original under the filter", "it is not installed");
    };
    let place = scratch();
    let mut program = build(place.path(), original, false);
    let output = attempt(&mut program);
    assert!(was_killed(&output), "{}", report(&program, &output));
}

/// Whoever starts a set-user-id program has no say in how it works.
#[test]
fn a_program_with_more_privileges_is_not_told() {
    let place = scratch();
    let mut program = build(place.path(), ours(), true);
    let file = place.path().join("program");
    const NOBODY: u32 = 65534;
    if std::os::unix::fs::chown(&file, Some(NOBODY), None).is_err() {
        return skip("set-user-id programs", "only root can make them");
    }
    let writable = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(place.path(), writable).expect("ours");
    let set_user_id = std::fs::Permissions::from_mode(0o4755);
    std::fs::set_permissions(&file, set_user_id).expect("ours");
    assert_reaps_in_user_space(program.env("LIBAIO_RS_REAP", "kernel"));
}

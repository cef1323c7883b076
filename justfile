# Every recipe is one line; what needs more is a test or a step of .ci/run.

# What runs before a change is proposed, on a machine that has the tools.
ci: test fmt lint doc

# All tests.
test:
    cargo test --locked

# Formatting.
fmt:
    cargo fmt --check

# Lints, pedantic ones included.
lint:
    cargo clippy --all-targets --locked -- -D warnings

# Documentation, private items included, without warnings.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# Licences, advisories, duplicates and sources of dependencies; needs cargo-deny.
deny:
    cargo deny --locked check

# One conversation both ways through the whole system.
demo:
    cargo run --release --locked -- demo --once

# Rewrites the golden files; review the difference like code.
golden:
    UPDATE_GOLDEN=1 cargo test --locked

# How hard the service unit is shut; must not be above 1.5.
unit:
    systemd-analyze security --offline=true --threshold=15 systemd/trunkline.service

# Manual pages into target/man.
man:
    cargo run --release --locked -- man target/man

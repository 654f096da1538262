# The agent for phones: the demo app's BenchmarkActivity carries out the plan, and this script passes its lines on.
#
#     sh app_benchmark.sh plan.txt
#     sh app_benchmark.sh             ends the app and removes what it wrote
#
# For Android's shell, with am, sed, wc. The app runs in a process of its own, which am starts anew, so that a peak of
# memory is of this plan alone. It reads plan and models here, for which they are made readable, and writes where adb may
# read without root. Plan and lines are described in toolkit/targets/base.py.
package=org.aectoolkit.demo
results=${EXTERNAL_STORAGE:-/sdcard}/Android/data/$package/files/benchmark
name=toolkit-$$
out=$results/$name.jsonl
PATIENCE_S=30

if [ $# = 0 ]; then
    am force-stop "$package"
    rm -f "$results"/toolkit-*.jsonl
    exit
fi

fail() {
    rm -f "$out"
    echo "$1" >&2
    exit 1
}

grep -q '^play ' "$1" && fail "the app's benchmark plays no samples: listen to a file in the app itself."
command -v am >/dev/null || fail "there is no am here: the demo app is on Android devices alone."
rm -f "$results"/toolkit-*.jsonl
chmod 755 . && chmod a+r ./* || fail "the files cannot be made readable to the app."

said=$(am start -W -S -n "$package/.BenchmarkActivity" --es plan "$PWD/$1" --es name "$name" 2>&1)
case $said in
*Error*) fail "the demo app does not start: install it (adb install) and unlock the screen. am says: $(echo "$said" | sed -n '/Error/p' | sed -n '$p')" ;;
esac

# Its lines come one by one; a line that is not whole yet is read on when there is more of it.
waited=0
until [ -e "$out" ]; do
    [ "$waited" -lt "$PATIENCE_S" ] || fail "the demo app wrote nothing to $out in $PATIENCE_S s. Unlock the screen and try again."
    sleep 1
    waited=$((waited + 1))
done
exec 4<"$out"
part=''
while :; do
    if IFS= read -r line <&4; then
        line=$part$line part=''
        case $line in
        *'"kind":"end"'*)
            rm -f "$out"
            exit 0
            ;;
        *'"kind":"error"'*) fail "the demo app: $(echo "$line" | sed 's/.*"message":"\(.*\)".*/\1/')" ;;
        esac
        echo "$line"
    else
        part=$part$line
        pidof "$package" >/dev/null || {
            # What it wrote last, then it is gone.
            sleep 1
            [ "$(tail -n 1 "$out" | grep -c '"kind":"e[nr]')" -gt 0 ] || fail "the demo app ended before its plan did: the phone needs memory, or somebody closed it."
        }
        sleep 0.1
    fi
done

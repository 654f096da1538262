package org.aectoolkit.demo

import android.annotation.TargetApi
import android.app.Activity
import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.widget.TextView
import org.aectoolkit.core.Benchmark
import org.aectoolkit.core.BenchmarkPlan
import org.aectoolkit.core.Device
import org.aectoolkit.core.Refused
import org.aectoolkit.core.TimedModels
import java.io.File

/**
 * Times model files where an app runs, without root. Started over adb:
 *
 *     adb shell am start -n org.aectoolkit.demo/.BenchmarkActivity --es plan PATH
 *     adb shell am start -n org.aectoolkit.demo/.BenchmarkActivity --es model PATH --ei runs 50 --ei threads 1
 *         --es cores 6,7 --ef every_ms 960
 *
 * PATH is absolute, or below the app's external files (/sdcard/Android/data/org.aectoolkit.demo/files); without model
 * and plan the bundle in use is timed. The lines stand in benchmark/NAME.jsonl there (`--es name NAME`, else
 * latest); they come one by one, and the last one is of kind end or error. No other app may start it (permission DUMP,
 * which the shell holds). Proved by BenchmarkActivityTest.
 */
class BenchmarkActivity : Activity() {
    private var running: Thread? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.benchmark)
        // Brought back by the system or from the list of recent apps: the run is over, and its lines stay
        val again = intent.flags and Intent.FLAG_ACTIVITY_LAUNCHED_FROM_HISTORY != 0
        if (savedInstanceState == null && !again) begin(intent) else say(R.string.benchmark_left)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        if (running?.isAlive != true) begin(intent)
    }

    private fun begin(intent: Intent) {
        val files = getExternalFilesDir(null) ?: return say(R.string.benchmark_failed, getString(R.string.no_storage))
        val name = intent.getStringExtra("name") ?: "latest"
        if (!NAME.matches(name)) return say(R.string.benchmark_failed, name)
        val into = File(files, "benchmark/$name.jsonl")
        say(R.string.benchmark_running)
        val models = (application as DemoApp).makeTimedModels()
        running = Thread({ time(models, intent, files, into) }, "benchmark").apply { start() }
    }

    private fun time(
        models: TimedModels,
        intent: Intent,
        files: File,
        into: File,
    ) {
        val written =
            runCatching {
                into.parentFile?.mkdirs()
                into.delete()
                val device = Device(cpu(), "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})")
                runCatching { plan(intent, files) }
                    .onSuccess { Benchmark(models, device).run(it, into) }
                    .onFailure { into.appendText(Benchmark.errorLine(it) + "\n") }
            }
        runOnUiThread {
            written.fold({ say(R.string.benchmark_done, into.path) }, { say(R.string.benchmark_failed, line(it)) })
        }
    }

    private fun plan(
        intent: Intent,
        files: File,
    ): BenchmarkPlan {
        intent.getStringExtra("plan")?.let { return BenchmarkPlan.read(files.resolve(it)) }
        val model =
            intent.getStringExtra("model")?.let(files::resolve)
                ?: (application as DemoApp)
                    .parts
                    .store
                    .current()
                    ?.folder
                ?: throw Refused("There is no bundle in the app, and no model or plan was named.")
        return BenchmarkPlan.ofExtras(
            model,
            runs = intent.getIntExtra("runs", RUNS),
            threads = intent.getIntExtra("threads", 1),
            cores = intent.getStringExtra("cores"),
            everyMs = intent.getFloatExtra("every_ms", 0f).toDouble(),
        )
    }

    private fun cpu(): String = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) processor() else Build.HARDWARE

    @TargetApi(Build.VERSION_CODES.S)
    private fun processor() = "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}"

    private fun say(
        text: Int,
        vararg with: Any,
    ) {
        val status: TextView = need(R.id.benchmark_status)
        status.text = getString(text, *with)
        status.keepScreenOn = text == R.string.benchmark_running // in the background the system may freeze the app
    }

    private companion object {
        const val RUNS = 50
        val NAME = Regex("[A-Za-z0-9][A-Za-z0-9._-]*")
    }
}

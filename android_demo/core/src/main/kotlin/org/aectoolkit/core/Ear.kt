package org.aectoolkit.core

/**
 * A bundle that hears one stream, hop by hop: the twin of toolkit/listen/ear.py.
 *
 * The first input of the model is the audio, its first output the scores; the other inputs are the state, zeros at
 * first, and the last outputs the next state in the same order. Where the audio comes from is the caller's.
 * One thread may use it. Proved by EarTest and FileAgainstPythonTest.
 *
 * Throws [Refused] when the bundle has no file that listens here or the runtime cannot run it.
 */
class Ear(
    bundle: Bundle,
    runners: RunnerFactory,
    threads: Int = 1,
    precision: Precision? = null,
    private val cpuClock: CpuClock = if (threads == 1) CpuClock.ofThisThread() else CpuClock.ofProcess(),
) : AutoCloseable {
    private val manifest = bundle.manifest

    /** The file that is run. */
    val file: BundleFile = bundle.streamFile(runners.runtime, precision)
    val hopSamples: Int = manifest.hopSamples
    val sampleRateHz: Int = manifest.frontEnd.sampleRateHz

    /** Samples that were lost on the way here; whoever loses them says so. */
    @Volatile var droppedSamples: Long = 0

    private val runner = runners.open(bundle.path(file), file, threads)
    private val audio = file.inputs.first().name
    private val scores = file.outputs.first().name
    private val picture = file.outputs.find { it.name == Bundle.LOG_MEL }?.name
    private val state =
        file.inputs.drop(1).zip(file.outputs.takeLast(file.inputs.size - 1)) { old, new -> old.name to new.name }
    private val inputs = file.inputs.associateTo(mutableMapOf()) { it.name to FloatArray(it.size) }
    private val decoder =
        EventDecoder(manifest.decisions, manifest.windowSamples, manifest.hopSamples, manifest.frontEnd.sampleRateHz)
    private val meter = CostMeter(runner.runtime, manifest.hopS)
    private val hop = FloatArray(hopSamples)
    private var waiting = 0
    private var heard = 0L
    private var end = 0L
    private var chargedS = 0.0

    /** Moments that the first [n] of [samples] complete, possibly none. Any chunking gives the same moments. */
    fun hear(
        samples: FloatArray,
        n: Int,
    ): List<Moment> =
        metered {
            val moments = mutableListOf<Moment>()
            heard += n
            var at = 0
            while (at < n) {
                val count = minOf(n - at, hopSamples - waiting)
                samples.copyInto(hop, waiting, at, at + count)
                waiting += count
                at += count
                if (waiting == hopSamples) moments += decide()
            }
            moments
        }

    /** The remaining moments: silence follows the audio until its last events have ended. */
    fun finish(): List<Moment> =
        metered {
            val moments = mutableListOf<Moment>()
            var number = 0
            while (heard > 0 && end + hopSamples - manifest.windowSamples < heard) {
                hop.fill(0f, waiting)
                moments += decide()
                if (decoder.soundingLabels.isEmpty() && number >= decoder.lagDecisions) break
                number++
            }
            val heardS = heard.toDouble() / sampleRateHz
            val ended = decoder.flush()
            moments += Moment(heardS, NONE, NONE, manifest.frontEnd.melBins, emptySet(), emptySet(), ended, cost())
            moments
        }

    /** What it took so far. */
    fun cost(): Cost = meter.cost(droppedSamples / hopSamples)

    override fun close() = runner.close()

    private fun decide(): Moment {
        waiting = 0
        hop.copyInto(inputs.getValue(audio))
        val started = System.nanoTime()
        val outputs = runner.run(inputs)
        meter.took(System.nanoTime() - started)
        val given = outputs.getValue(scores)
        if (given.any { !it.isFinite() }) {
            throw Refused("The model gave scores that are not finite. Verify the bundle: python -m toolkit.verify")
        }
        for ((old, new) in state) outputs.getValue(new).copyInto(inputs.getValue(old))
        end += hopSamples
        val decision = Decision(end, minOf(heard, end), given.copyOf())
        val before = decoder.soundingLabels
        val ended = decoder.push(decision)
        val sounding = decoder.soundingLabels
        charge()
        return Moment(
            decision.heard.toDouble() / sampleRateHz,
            decision.scores,
            picture?.let { outputs.getValue(it).copyOf() } ?: NONE,
            manifest.frontEnd.melBins,
            sounding - before,
            sounding,
            ended,
            cost(),
        )
    }

    private fun <T> metered(work: () -> T): T {
        chargedS = cpuClock.seconds()
        try {
            return work()
        } finally {
            charge()
        }
    }

    private fun charge() {
        val now = cpuClock.seconds()
        meter.spent(now - chargedS)
        chargedS = now
    }

    companion object {
        private val NONE = FloatArray(0)

        /** Hears one hop of silence: whether a bundle can be used here. Throws [Refused] when it cannot. */
        fun tryOut(
            bundle: Bundle,
            runners: RunnerFactory,
        ) {
            Ear(bundle, runners).use { it.hear(FloatArray(it.hopSamples), it.hopSamples) }
        }
    }
}

package org.aectoolkit.demo

import org.aectoolkit.core.AudioSource
import org.aectoolkit.core.BundleStore
import org.aectoolkit.core.Ear
import org.aectoolkit.core.SourceLost
import java.io.File
import java.io.InputStream
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/** A microphone that hears what a test says, hop by hop. */
class FakeMicrophone(
    override val sampleRateHz: Int = TinyBundle.RATE_HZ,
) : AudioSource {
    private val waiting = LinkedBlockingQueue<() -> FloatArray>()
    private var hop = FloatArray(0)

    @Volatile var closed = false
        private set

    fun hear(vararg scores: Float) = waiting.put { TinyBundle.hop(*scores) }

    fun lose(line: String) = waiting.put { throw SourceLost(line) }

    override fun read(into: FloatArray): Int {
        while (hop.isEmpty()) {
            if (closed) return -1
            hop = waiting.poll(5, TimeUnit.MILLISECONDS)?.invoke() ?: continue
        }
        val count = minOf(into.size, hop.size)
        hop.copyInto(into, 0, 0, count)
        hop = hop.copyOfRange(count, hop.size)
        return count
    }

    override fun close() {
        closed = true
    }
}

/** A device of which a test decides everything. [folder] is the app's. */
class FakeParts(
    folder: File,
    override val main: Executor,
) : Parts {
    val tiny = TinyRunners()
    val microphones = mutableListOf<FakeMicrophone>()
    var inApp: Map<String, () -> InputStream>? = null
        set(value) {
            field = value
            isNew = value != null
        }
    private var isNew = false
    var allowed = true
    var taken = false
    private val push = File(folder, "bundle.zip")
    override val runners = tiny.factory
    override val store = BundleStore(File(folder, "bundles")) { Ear.tryOut(it, runners) }
    override val work: Executor = Executors.newSingleThreadExecutor { Thread(it).apply { isDaemon = true } }

    fun push(zip: ByteArray) = push.writeBytes(zip)

    override fun shipped() = inApp

    override fun shippedIsNew() = isNew

    override fun shippedDone() {
        isNew = false
    }

    override fun pushed() = push

    override fun mayRecord() = allowed

    override fun microphone(rateHz: Int): AudioSource {
        if (taken) throw SourceLost("Another app holds the microphone.")
        return FakeMicrophone(rateHz).also { microphones += it }
    }

    override fun memoryMb() = 120.0
}

package org.aectoolkit.core

import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.StandardCharsets
import java.security.MessageDigest

/**
 * A bundle folder whose every file was checked against its manifest; what export wrote, and nothing else is read.
 *
 * Where bundles come from is BundleStore's. Proved by BundleTest and DamagedBundlesTest.
 */
class Bundle private constructor(
    val folder: File,
    val manifest: Manifest,
) {
    /** Where a file of the manifest lies. */
    fun path(file: BundleFile): File = File(folder, file.name)

    /**
     * The file that listens: of [runtime], for streams; of [precision], or else of the one that the device's cost table
     * chose, or else int8 before the others.
     *
     * Throws [Refused] when there is none.
     */
    fun streamFile(
        runtime: Runtime = Runtime.TFLITE,
        precision: Precision? = null,
    ): BundleFile {
        val streams = manifest.files.filter { it.mode == Mode.STREAM && it.runtime == runtime }
        val preferred = if (precision == null) listOf(manifest.pick?.precision, Precision.INT8) else listOf(precision)
        return preferred.firstNotNullOfOrNull { each -> streams.find { it.precision == each } }
            ?: streams.firstOrNull { precision == null }
            ?: throw Refused(
                "The bundle holds no ${precision?.word ?: ""} ${runtime.word} file for streams; it has " +
                    manifest.files.joinToString { "${it.mode.word} ${it.precision.word} ${it.runtime.word}" } +
                    ". Export it with --mode stream.",
            )
    }

    companion object {
        const val MANIFEST = "manifest.json"
        const val LABELS = "labels.txt"

        /** The output that shows what the model heard, where it has one. */
        internal const val LOG_MEL = "log_mel"

        /** Open a bundle. Throws [Refused] when it is not whole, damaged, or written for another app. */
        fun open(folder: File): Bundle {
            try {
                if (!File(folder, MANIFEST).isFile) {
                    throw Refused("There is no bundle here ($MANIFEST is missing). Choose what export --zip wrote.")
                }
                val manifest = ManifestParser.parse(text(File(folder, MANIFEST)))
                for (file in manifest.files) checkSize(File(folder, file.name), file.sizeBytes)
                val digests = manifest.files.associate { it.name to it.sha256 } + manifest.otherSha256
                for ((name, digest) in digests) checkDigest(File(folder, name), digest)
                val labels = text(File(folder, LABELS)).removeSuffix("\n").split("\n")
                if (labels != manifest.labels) {
                    throw Refused(
                        "$LABELS has ${labels.size} labels that are not the manifest's ${manifest.labels.size}. " +
                            "Export the bundle again.",
                    )
                }
                manifest.files.filter { it.mode == Mode.STREAM }.forEach { checkStream(it, manifest) }
                return Bundle(folder, manifest)
            } catch (fault: IOException) {
                throw Refused("The bundle cannot be read: ${fault.message}. Copy it again.")
            }
        }

        private fun checkSize(
            path: File,
            expected: Long,
        ) {
            if (!path.isFile) throw Refused("${path.name} is missing: the bundle is not whole. Export it again.")
            if (path.length() != expected) {
                throw Refused("${path.name} has ${path.length()} of $expected bytes. Copy or export the bundle again.")
            }
        }

        private fun checkDigest(
            path: File,
            expected: String,
        ) {
            if (!path.isFile) throw Refused("${path.name} is missing: the bundle is not whole. Export it again.")
            val found = sha256(path)
            if (found != expected) {
                throw Refused(
                    "${path.name} is damaged: its sha256 begins with ${found.take(SHOWN)}, expected " +
                        "${expected.take(SHOWN)}. Copy or export the bundle again.",
                )
            }
        }

        /** The first input is the audio, the first output the scores; the last outputs are the other inputs' next. */
        private fun checkStream(
            file: BundleFile,
            manifest: Manifest,
        ) {
            val taken = file.inputs.first().shape
            val given = file.outputs.first().shape
            if (taken != listOf(1, manifest.hopSamples) || given != listOf(1, manifest.labels.size)) {
                throw Refused(
                    "${file.name} takes $taken and gives $given; expected ${manifest.hopSamples} samples and " +
                        "${manifest.labels.size} scores. Export the bundle again.",
                )
            }
            val picture = file.outputs.find { it.name == LOG_MEL }?.shape
            val (frames, bins) = with(manifest) { hopSamples / frontEnd.hopSamples to frontEnd.melBins }
            if (picture != null && picture != listOf(1, frames, bins, 1) && picture != listOf(1, 1, frames, bins)) {
                throw Refused(
                    "${file.name} gives log-mel of $picture, not $frames frames of $bins mel bins. " +
                        "Export the bundle again.",
                )
            }
            val before = file.inputs.drop(1).map { it.shape }
            if (file.outputs.size <= before.size || file.outputs.takeLast(before.size).map { it.shape } != before) {
                throw Refused("${file.name} does not give back the state that it takes. Export the bundle again.")
            }
        }

        private const val LONGEST_TEXT = 4L shl 20
        private const val SHOWN = 12

        private fun text(path: File): String {
            if (path.length() > LONGEST_TEXT) throw Refused("${path.name} is too long: no file of a bundle.")
            try {
                return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(path.readBytes()))
                    .toString()
            } catch (_: CharacterCodingException) {
                throw Refused("${path.name} is not UTF-8 text. Export the bundle again.")
            }
        }

        private fun sha256(path: File): String {
            val digest = MessageDigest.getInstance("SHA-256")
            path.inputStream().use { stream ->
                val block = ByteArray(BLOCK)
                while (true) {
                    val count = stream.read(block)
                    if (count < 0) break
                    digest.update(block, 0, count)
                }
            }
            return hex(digest.digest())
        }

        private const val BLOCK = 1 shl 16
    }
}

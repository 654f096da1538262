package org.aectoolkit.core

import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerializationException
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.descriptors.StructureKind
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.intOrNull

/**
 * Reads a manifest as strictly as the toolkit does: unknown and missing keys, converted types, numbers out of range and
 * a schema that is not this one are refused in one line. Files are not looked at. Proved by ManifestParserTest.
 */
object ManifestParser {
    const val SCHEMA = 1
    private const val DEEPEST = 64
    private const val MOST_CORES = 64

    /** Samples, or numbers of log-mel: a minute at 32 kHz, where export writes ten seconds. */
    private const val MOST_IN_WINDOW = 1 shl 21
    private val SMOOTHINGS = 1..1001
    private val BOOLEAN = Regex("true|false")
    private val WHOLE = Regex("-?(0|[1-9][0-9]*)")
    private val NUMBER = Regex("$WHOLE(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
    private val strict = Json { allowSpecialFloatingPointValues = false }

    /** Throws [Refused]. */
    fun parse(text: String): Manifest {
        val tree = tree(text)
        val schema = (tree["schema_version"] as? JsonPrimitive)?.takeIf { !it.isString }?.intOrNull
        if (schema != SCHEMA) {
            throw Refused(
                "The bundle has schema ${short(tree["schema_version"])}, this app reads schema $SCHEMA. " +
                    "Export it with the toolkit that this app belongs to.",
            )
        }
        val serializer: KSerializer<Manifest> = Manifest.serializer()
        val manifest =
            try {
                checkKinds(tree, serializer.descriptor, "manifest")
                strict.decodeFromJsonElement(serializer, tree)
            } catch (fault: SerializationException) {
                throw broken(firstLine(fault))
            } catch (fault: IllegalArgumentException) {
                throw broken(firstLine(fault))
            }
        faults(manifest).firstOrNull()?.let { throw broken(it) }
        return manifest
    }

    private fun tree(text: String): JsonObject {
        // The parser goes one call deeper for each bracket: a text of brackets alone must not overflow the stack.
        if (depth(text) > DEEPEST) throw broken("it is nested more than $DEEPEST deep")
        val tree =
            try {
                strict.parseToJsonElement(text)
            } catch (fault: SerializationException) {
                throw broken("it is not JSON: ${firstLine(fault)}")
            }
        return tree as? JsonObject ?: throw broken("it is not a JSON object")
    }

    private fun depth(text: String): Int {
        var now = 0
        var most = 0
        var quoted = false
        var escaped = false
        for (letter in text) {
            when {
                escaped -> escaped = false
                quoted && letter == '\\' -> escaped = true
                letter == '"' -> quoted = !quoted
                quoted -> Unit
                letter == '{' || letter == '[' -> most = maxOf(most, ++now)
                letter == '}' || letter == ']' -> now--
            }
        }
        return most
    }

    /** The library takes `"3"` for 3, a number for a text and what Java calls a number; the toolkit takes none of it. */
    @OptIn(ExperimentalSerializationApi::class)
    private fun checkKinds(
        element: JsonElement,
        expected: SerialDescriptor,
        place: String,
    ) {
        if (element is JsonNull) return // whether it may be null is the library's to check
        when (element) {
            is JsonObject -> {
                if (expected.kind != StructureKind.CLASS && expected.kind != StructureKind.MAP) {
                    throw broken("$place is an object")
                }
                for ((key, value) in element) {
                    val index =
                        if (expected.kind == StructureKind.MAP) 1 else expected.getElementIndex(key)
                    if (index >= 0) checkKinds(value, expected.getElementDescriptor(index), "$place.$key")
                }
            }

            is JsonArray -> {
                if (expected.kind != StructureKind.LIST) throw broken("$place is a list")
                element.forEachIndexed { at, value ->
                    checkKinds(value, expected.getElementDescriptor(0), "$place[$at]")
                }
            }

            is JsonPrimitive -> {
                val written =
                    when (expected.kind) {
                        PrimitiveKind.BOOLEAN -> BOOLEAN
                        PrimitiveKind.INT, PrimitiveKind.LONG -> WHOLE
                        PrimitiveKind.DOUBLE -> NUMBER
                        else -> null
                    }
                val good = if (element.isString) written == null else written?.matches(element.content) == true
                if (!good) throw broken("$place is ${short(element)}")
            }
        }
    }

    private fun faults(manifest: Manifest): Sequence<String> =
        sequence {
            with(manifest) {
                if (labels.isEmpty()) yield("it has no labels")
                if (labels.any { it.isBlank() || '\n' in it || '\r' in it }) yield("a label is no line of text")
                if (decisions.map { it.label } != labels) yield("decisions and labels differ")
                if (files.isEmpty()) yield("it names no model file")
                if (hopSamples !in 1..windowSamples) {
                    yield("hop_samples $hopSamples is not in 1 to window_samples $windowSamples")
                }
                yieldAll(frontEndFaults(this))
                pick?.let { yieldAll(pickFaults(it)) }
                decisions.forEach { yieldAll(decisionFaults(it)) }
                files.forEach { yieldAll(fileFaults(it)) }
                val names = files.map { it.name } + otherSha256.keys
                names.firstOrNull { !isFileName(it) }?.let { yield("${short(it)} is no name for a file") }
                if (names.toSet().size < names.size) yield("it names a file twice")
                if (Bundle.LABELS !in otherSha256) yield("it says nothing of ${Bundle.LABELS}")
            }
        }

    private fun frontEndFaults(manifest: Manifest): Sequence<String> =
        sequence {
            val spec = manifest.frontEnd
            val whole = listOf(spec.windowSamples, spec.hopSamples, spec.melBins)
            val small = whole.any { it < 1 } || spec.floorPower <= 0 || spec.fMinHz < 0
            if (small) yield("a front_end number is too small")
            if (spec.sampleRateHz !in RATES_HZ) yield("its sample rate of ${spec.sampleRateHz} Hz is not in $RATES_HZ")
            val samples = maxOf(manifest.windowSamples, spec.windowSamples)
            val picture = manifest.windowSamples.toLong() / spec.hopSamples * spec.melBins
            if (maxOf(samples.toLong(), picture) > MOST_IN_WINDOW) {
                yield("a window of $samples samples and $picture numbers of log-mel is too large")
            }
            if (!(spec.fMinHz < spec.fMaxHz && spec.fMaxHz <= spec.sampleRateHz / 2.0)) {
                yield("the front end's band ${spec.fMinHz}-${spec.fMaxHz} Hz does not fit ${spec.sampleRateHz} Hz")
            }
            if (spec.windowSamples % 2 != 0 || spec.hopSamples > spec.windowSamples) {
                yield("the front end's window must be even and no shorter than its hop")
            }
            if (spec.fingerprint != manifest.frontEndFingerprint) {
                yield("the front end has fingerprint ${spec.fingerprint}, not ${short(manifest.frontEndFingerprint)}")
            }
        }

    private fun pickFaults(pick: Pick): Sequence<String> =
        sequence {
            if (pick.candidates < 1) yield("the pick was chosen among ${pick.candidates}")
            if (pick.meanAveragePrecision !in 0.0..1.0) yield("the pick has mAP ${pick.meanAveragePrecision}")
            with(pick.budget) {
                val bounds =
                    listOfNotNull(maxLatencyMs, maxCoreShare, maxMemoryMb, maxSizeMb) +
                        listOfNotNull(maxParams, maxMacs).map { it.toDouble() }
                val possible =
                    bounds.all { it > 0 } && (maxCoreShare ?: 0.0) <= MOST_CORES && (minParams ?: 0) >= 0 &&
                        (minParams ?: 0) <= (maxParams ?: Long.MAX_VALUE)
                if (!possible) yield("the pick's budget cannot be kept")
            }
        }

    private fun decisionFaults(rule: LabelDecision): Sequence<String> =
        sequence {
            val share = 0.0..1.0
            if (rule.threshold !in share || rule.threshold == 0.0 || rule.offThreshold !in 0.0..rule.threshold) {
                yield("${rule.label} has thresholds ${rule.threshold} and ${rule.offThreshold}")
            }
            if (rule.smoothingDecisions !in SMOOTHINGS || rule.smoothingDecisions % 2 == 0) {
                yield("${rule.label} smooths over ${rule.smoothingDecisions}, expected an odd number up to 1001")
            }
            if (rule.trainClips < 0 || rule.validationClips < 0 || (rule.falseAlarmsPerHour ?: 0.0) < 0) {
                yield("${rule.label} has a count below zero")
            }
            if (listOfNotNull(rule.averagePrecision, rule.eventF1).any { it !in share }) {
                yield("${rule.label} has a figure that is not in 0 to 1")
            }
        }

    private fun fileFaults(file: BundleFile): Sequence<String> =
        sequence {
            if (file.sizeBytes < 1) yield("${file.name} has size_bytes ${file.sizeBytes}")
            for ((what, specs) in listOf("inputs" to file.inputs, "outputs" to file.outputs)) {
                if (specs.isEmpty()) yield("${file.name} has no $what")
                if (specs.map { it.name }.toSet().size < specs.size) yield("${file.name} names one of its $what twice")
                if (specs.any { spec -> !isShape(spec.shape) }) yield("${file.name} has $what of an impossible shape")
            }
        }

    private const val MOST_NUMBERS = 1L shl 27

    private fun isShape(shape: List<Int>): Boolean {
        var size = 1L
        for (length in shape) {
            if (length < 1 || length > MOST_NUMBERS) return false
            size *= length
            if (size > MOST_NUMBERS) return false
        }
        return true
    }

    private fun broken(why: String) = Refused("The bundle's manifest is broken: $why. Export it again.")

    private const val SHOWN = 60

    private fun short(value: Any?): String = value.toString().replace('\n', ' ').take(SHOWN)

    private fun firstLine(fault: Exception): String =
        (fault.message ?: fault.javaClass.simpleName)
            .lineSequence()
            .first()
            .trimEnd('.')
            .take(2 * SHOWN)
}

private val FILE_NAME = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,120}")

/** Of a file in a bundle's own folder, never elsewhere. */
internal fun isFileName(name: String): Boolean = FILE_NAME.matches(name)

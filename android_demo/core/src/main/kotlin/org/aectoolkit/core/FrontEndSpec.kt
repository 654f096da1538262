package org.aectoolkit.core

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import java.math.BigDecimal
import java.math.MathContext
import java.math.RoundingMode
import java.security.MessageDigest
import kotlin.math.abs

/**
 * Everything that defines log-mel. The computation is in the model file; here is what its fingerprint is made of, the
 * twin of toolkit/specs/front_end.py. Proved by FrontEndSpecTest, against fingerprints that Python made.
 */
@Serializable
data class FrontEndSpec(
    @SerialName("sample_rate_hz") val sampleRateHz: Int,
    @SerialName("window_samples") val windowSamples: Int,
    @SerialName("hop_samples") val hopSamples: Int,
    @SerialName("mel_bins") val melBins: Int,
    @SerialName("f_min_hz") val fMinHz: Double,
    @SerialName("f_max_hz") val fMaxHz: Double,
    @SerialName("floor_power") val floorPower: Double,
) {
    /** First 16 hexadecimal digits of the SHA-256 of the canonical JSON text: keys sorted, no spaces. */
    val fingerprint: String
        get() {
            val canonical =
                "{\"f_max_hz\":${pythonText(fMaxHz)},\"f_min_hz\":${pythonText(fMinHz)}," +
                    "\"floor_power\":${pythonText(floorPower)},\"hop_samples\":$hopSamples,\"mel_bins\":$melBins," +
                    "\"sample_rate_hz\":$sampleRateHz,\"window_samples\":$windowSamples}"
            return hex(MessageDigest.getInstance("SHA-256").digest(canonical.toByteArray())).take(FINGERPRINT_DIGITS)
        }
}

/** Lower-case hexadecimal digits. */
internal fun hex(bytes: ByteArray): String = bytes.joinToString("") { "%02x".format(it) }

private const val FINGERPRINT_DIGITS = 16
private const val ALL_DIGITS = 17
private val FIXED_EXPONENTS = -4..15

/**
 * A finite number as Python and JSON of Python write it: the fewest digits that read back to it, an exponent from
 * 1e16 on and below 1e-4. `Double.toString` does neither alike on all of JVM and Android.
 */
internal fun pythonText(value: Double): String {
    if (value == 0.0) return if (1 / value < 0) "-0.0" else "0.0"
    val exact = BigDecimal(value)
    val shortest =
        (1..ALL_DIGITS)
            .map { exact.round(MathContext(it, RoundingMode.HALF_EVEN)) }
            .first { it.toDouble() == value }
    val digits =
        shortest
            .unscaledValue()
            .abs()
            .toString()
            .trimEnd('0')
    val exponent = shortest.precision() - shortest.scale() - 1
    val sign = if (value < 0) "-" else ""
    if (exponent in FIXED_EXPONENTS) {
        val plain = shortest.abs().stripTrailingZeros().toPlainString()
        return sign + if ('.' in plain) plain else "$plain.0"
    }
    val mantissa = if (digits.length == 1) digits else "${digits[0]}.${digits.drop(1)}"
    val power = abs(exponent).toString().padStart(2, '0') // format() would write a Persian phone's own digits
    return "$sign${mantissa}e${if (exponent < 0) "-" else "+"}$power"
}

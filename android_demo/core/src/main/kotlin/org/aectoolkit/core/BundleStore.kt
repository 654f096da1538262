package org.aectoolkit.core

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.nio.file.AtomicMoveNotSupportedException
import java.nio.file.Files
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.nio.file.StandardCopyOption.REPLACE_EXISTING
import java.util.UUID
import java.util.zip.ZipEntry
import java.util.zip.ZipInputStream

/**
 * The one bundle in use, in a folder of the app's own.
 *
 *     root/current           a line: the name of the folder in use
 *     root/bundle-…/         that folder; others are left from an installation that was broken off
 *
 * A new bundle is staged beside the old one, checked, and then `current` is replaced by one rename, so that at any
 * moment there is either the old one or the new one. [trial] has the last word on it: there the app sees whether its
 * runtime can run what it is to run, and throws [Refused] if not. One process may use a root.
 * Proved by BundleStoreTest and ReplacedBundleTest.
 */
class BundleStore(
    private val root: File,
    private val trial: (Bundle) -> Unit = {},
) {
    private val pointer = File(root, "current")

    /** The bundle in use, null if none was installed. Throws [Refused] when it was damaged since. */
    @Synchronized
    fun current(): Bundle? = currentFolder()?.let(Bundle::open)

    /** Install what `export --zip` wrote; closes [zip]. Throws [Refused], and then the one in use stays. */
    fun install(zip: InputStream): Bundle =
        ZipInputStream(zip).use { entries ->
            staged { folder, room ->
                var none = true
                while (true) {
                    val entry = entries.nextEntry ?: break
                    none = false
                    room.take(folder, entry.plainName(), entries)
                }
                if (none) throw Refused("This is no zip file of a bundle. Choose what export --zip wrote.")
            }
        }

    /** The same from loose files by name. */
    fun install(open: Map<String, () -> InputStream>): Bundle =
        staged { folder, room ->
            for ((name, stream) in open) stream().use { room.take(folder, name, it) }
        }

    @Synchronized
    private fun staged(fill: (File, Room) -> Unit): Bundle {
        val folder = File(root, PREFIX + UUID.randomUUID())
        var taken = false
        try {
            sweep(used())
            if (!folder.mkdirs()) throw IOException("no folder can be made in $root")
            fill(folder, Room())
            val bundle = Bundle.open(folder)
            trial(bundle)
            dropStrangers(folder, bundle.manifest)
            val next = File(root, "current.part")
            next.writeSynced { it.write(folder.name.toByteArray()) }
            replace(next, pointer)
            taken = true
            sweep(folder.name)
            return bundle
        } catch (fault: IOException) {
            throw Refused("The bundle cannot be installed: ${reason(fault)}. Copy it again, and look for free space.")
        } catch (fault: IllegalArgumentException) {
            // a name in a zip that is no text
            throw Refused("The bundle cannot be installed: ${reason(fault)}. Choose what export --zip wrote.")
        } finally {
            if (!taken) folder.deleteRecursively()
        }
    }

    private fun currentFolder(): File? {
        val name = used() ?: return null
        if (!isFileName(name)) throw Refused("The store of bundles is damaged. Install the bundle again.")
        return File(root, name)
    }

    private fun used(): String? = if (pointer.isFile) pointer.readText() else null

    /** Remove all bundles but one, and what an installation left that was broken off. */
    private fun sweep(kept: String?) {
        root.listFiles { each -> each.name.startsWith(PREFIX) && each.name != kept }?.forEach { it.deleteRecursively() }
    }

    private fun dropStrangers(
        folder: File,
        manifest: Manifest,
    ) {
        val known = manifest.files.map { it.name } + manifest.otherSha256.keys + Bundle.MANIFEST
        folder.listFiles()?.filter { it.name !in known }?.forEach { it.delete() }
    }

    /** How much of a foreign zip is unpacked before it is refused. */
    private class Room {
        private var bytes = 0L
        private val names = mutableSetOf<String>()

        fun take(
            folder: File,
            name: String,
            stream: InputStream,
        ) {
            if (!isFileName(name)) {
                throw Refused("The bundle names a file ${name.take(SHOWN)}, which is no plain name. It is not used.")
            }
            if (!names.add(name)) throw Refused("The bundle holds $name twice. Choose what export --zip wrote.")
            if (names.size > MOST_FILES) throw Refused("The bundle holds more than $MOST_FILES files. It is not used.")
            File(folder, name).writeSynced { file ->
                val block = ByteArray(BLOCK)
                while (true) {
                    val count = stream.read(block)
                    if (count < 0) break
                    bytes += count
                    if (bytes > MOST_BYTES) {
                        throw Refused("The bundle unpacks to more than ${MOST_BYTES shr 20} MB. It is not used.")
                    }
                    file.write(block, 0, count)
                }
            }
        }
    }

    private companion object {
        const val PREFIX = "bundle-"
        const val MOST_FILES = 64
        const val MOST_BYTES = 256L shl 20
        const val BLOCK = 1 shl 16
        const val SHOWN = 60

        /** On disk when it returns, so that a phone that dies finds the old bundle or a whole new one. */
        fun File.writeSynced(write: (OutputStream) -> Unit) =
            FileOutputStream(this).use { file ->
                write(file)
                file.fd.sync()
            }

        fun ZipEntry.plainName(): String {
            if (isDirectory) throw Refused("The zip holds a folder. Choose what export --zip wrote.")
            return name
        }

        fun reason(fault: Exception): String =
            (fault.message ?: fault.javaClass.simpleName).lineSequence().first().trimEnd('.')

        fun replace(
            from: File,
            to: File,
        ) {
            try {
                Files.move(from.toPath(), to.toPath(), ATOMIC_MOVE, REPLACE_EXISTING)
            } catch (_: AtomicMoveNotSupportedException) {
                Files.move(from.toPath(), to.toPath(), REPLACE_EXISTING)
            }
        }
    }
}

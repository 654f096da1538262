package org.aectoolkit.demo

import android.annotation.TargetApi
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.OpenableColumns
import android.provider.Settings
import android.view.View
import android.view.WindowInsets
import android.widget.Toast
import java.io.FileNotFoundException
import java.io.InputStream

/** The screen: passes what the person and the system do to the [Presenter], and its state to the [Screen]. */
class MainActivity :
    Activity(),
    Actions {
    private lateinit var presenter: Presenter
    private lateinit var permission: MicrophonePermission

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        val root: View = need(R.id.root)
        keepClearOfBars(root)
        permission = MicrophonePermission(this)
        presenter = retained() ?: Presenter((application as DemoApp).parts)
        presenter.onState = Screen(root, this)::show
    }

    @Suppress("DEPRECATION") // the framework has no other way; AndroidX is not used
    private fun retained(): Presenter? = lastNonConfigurationInstance as? Presenter

    @Deprecated("The framework has no other way; AndroidX is not used.")
    override fun onRetainNonConfigurationInstance(): Any = presenter

    override fun onStart() {
        super.onStart()
        presenter.arrive()
    }

    override fun onStop() {
        super.onStop()
        if (!isChangingConfigurations) presenter.leave()
    }

    override fun onDestroy() {
        super.onDestroy()
        presenter.onState = {}
        if (!isChangingConfigurations) presenter.close()
    }

    override fun listen() {
        presenter.listen()
        if (presenter.state is UiState.AskingMicrophone) permission.ask()
    }

    override fun allowMicrophone() = listen()

    override fun stop() = presenter.stop()

    override fun playRecording() = pick(PICK_RECORDING, "audio/*")

    override fun chooseBundle() =
        pick(PICK_BUNDLE, "application/zip", "application/x-zip-compressed", "application/octet-stream")

    override fun dismissNotice() = presenter.dismiss()

    override fun openSettings() =
        launch {
            startActivity(
                Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.parse("package:$packageName")),
            )
        }

    override fun onRequestPermissionsResult(
        requestCode: Int,
        permissions: Array<String>,
        grantResults: IntArray,
    ) {
        val answer = permission.answer(grantResults)
        presenter.answered(answer.granted, answer.mayAskAgain)
    }

    private fun pick(
        request: Int,
        vararg types: String,
    ) {
        val open =
            Intent(Intent.ACTION_OPEN_DOCUMENT)
                .addCategory(Intent.CATEGORY_OPENABLE)
                .setType(types.singleOrNull() ?: "*/*")
                .putExtra(Intent.EXTRA_MIME_TYPES, types)
        @Suppress("DEPRECATION") // its successor is AndroidX's
        launch { startActivityForResult(open, request) }
    }

    private fun launch(start: () -> Unit) =
        try {
            start()
        } catch (_: ActivityNotFoundException) {
            Toast.makeText(this, R.string.no_such_app, Toast.LENGTH_LONG).show()
        }

    @Deprecated("Its successor is AndroidX's.")
    override fun onActivityResult(
        requestCode: Int,
        resultCode: Int,
        data: Intent?,
    ) {
        val uri = data?.data ?: return
        val resolver = applicationContext.contentResolver
        val open: () -> InputStream = { resolver.openInputStream(uri) ?: throw FileNotFoundException("$uri") }
        if (requestCode == PICK_BUNDLE) presenter.choose(open) else presenter.play(nameOf(uri), open)
    }

    private fun nameOf(uri: Uri): String =
        runCatching { askName(uri) }.getOrNull() ?: uri.lastPathSegment ?: getString(R.string.a_recording)

    /** Throws whatever the other app throws. */
    private fun askName(uri: Uri): String? =
        contentResolver.query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)?.use { row ->
            if (row.moveToFirst()) row.getString(0) else null
        }

    /** Android 15 draws apps behind its bars; the versions before 11 never do. */
    private fun keepClearOfBars(root: View) {
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) root.setOnApplyWindowInsetsListener(::insideBars)
    }

    @TargetApi(Build.VERSION_CODES.R)
    private fun insideBars(
        view: View,
        insets: WindowInsets,
    ): WindowInsets {
        val bars = insets.getInsets(WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout())
        view.setPadding(bars.left, bars.top, bars.right, bars.bottom)
        return insets
    }

    companion object {
        const val PICK_BUNDLE = 2
        const val PICK_RECORDING = 3
    }
}

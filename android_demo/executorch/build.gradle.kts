plugins {
    alias(libs.plugins.android.library)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "org.aectoolkit.executorch"
    compileSdk =
        libs.versions.target.sdk
            .get()
            .toInt()
    defaultConfig {
        minSdk =
            libs.versions.min.sdk
                .get()
                .toInt()
    }
}

kotlin {
    compilerOptions.allWarningsAsErrors = true
    jvmToolchain(
        libs.versions.java
            .get()
            .toInt(),
    )
}

dependencies {
    api(project(":core"))
    implementation(libs.executorch.android)
}

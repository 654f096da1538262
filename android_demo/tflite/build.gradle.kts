plugins {
    alias(libs.plugins.kotlin.jvm)
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
    implementation(libs.tensorflow.lite)
    implementation(libs.javacpp)

    // The same classes over this machine's own native library
    testRuntimeOnly(variantOf(libs.tensorflow.lite) { classifier("linux-x86_64") })
    testRuntimeOnly(variantOf(libs.javacpp) { classifier("linux-x86_64") })
    testImplementation(platform(libs.junit.bom))
    testImplementation(libs.junit.jupiter)
    testImplementation(libs.kotlin.test.junit5)
    testImplementation(libs.kotest.property.jvm)
}

tasks.test { maxHeapSize = "512m" }

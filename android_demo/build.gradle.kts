plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
    alias(libs.plugins.kotlin.android) apply false
    alias(libs.plugins.kotlin.jvm) apply false
    alias(libs.plugins.kotlin.serialization) apply false
}

// What Python makes for the tests to compare with: `make test-android` says how
subprojects {
    tasks.withType<Test>().configureEach {
        useJUnitPlatform()
        systemProperty("aec.fixtures", rootDir.resolve("target/fixtures").path)
        systemProperty(
            "aec.screenshots",
            layout.buildDirectory
                .dir("screenshots")
                .get()
                .asFile.path,
        )
    }
}

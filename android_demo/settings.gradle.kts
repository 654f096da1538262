// The build for Android Studio. Where Google's repository is out of reach, Maven builds the same sources: README.md.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

// Brings a JDK of the version that the modules ask for where the machine has none
plugins {
    id("org.gradle.toolchains.foojay-resolver-convention") version "1.0.0"
}

dependencyResolutionManagement {
    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "android-demo"

include(":core", ":tflite", ":executorch", ":app")
